"""Segments: merged, written, read, damaged."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from embow.errors import StorageError
from embow_text import Analysis, Segment, build, merge, read, write

ANALYSIS = Analysis(stem=False, remove_stop_words=False, with_position=True)
TEXTS = ["one two two", None, "", "two 数据库", "three " * 300]

document = st.none() | st.lists(st.sampled_from(["a", "b", "cc", "数据", "é"])).map(" ".join)


def made(texts: list[str | None], analysis: Analysis = ANALYSIS) -> Segment:
    """Return a segment of texts."""
    return build(pa.array(texts, pa.string()), analysis)


def same(left: Segment, right: Segment) -> bool:
    """Return whether two segments hold equal arrays of equal types."""
    both = [(getattr(left, f.name), getattr(right, f.name)) for f in fields(Segment)]
    return all(
        (a is None and b is None) or (a.dtype == b.dtype and np.array_equal(a, b)) for a, b in both
    )


@given(st.lists(st.lists(st.tuples(document, st.booleans()), max_size=6), min_size=1, max_size=4))
def test_merged_segments_are_what_one_build_gives(
    groups: list[list[tuple[str | None, bool]]],
) -> None:
    """Merging without the deleted rows gives the very arrays of building what is left."""
    for analysis in (ANALYSIS, Analysis(stem=False)):
        segments = [made([text for text, _ in group], analysis) for group in groups]
        kept = [np.array([stays for _, stays in group], bool) for group in groups]
        left = [text for group in groups for text, stays in group if stays]
        everything = [text for group in groups for text, _ in group]
        assert same(merge(segments, kept), made(left, analysis))
        assert same(merge(segments), made(everything, analysis))


def test_a_build_in_blocks_is_one_build(monkeypatch: pytest.MonkeyPatch) -> None:
    """More text than is analysed at once gives the same segment."""
    whole = made(TEXTS)
    monkeypatch.setattr("embow_text.building._BLOCK", 8)
    assert same(made(TEXTS), whole)


@given(st.lists(document, max_size=8), st.booleans())
def test_a_file_holds_the_segment(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str | None], positions: bool
) -> None:
    """What is read is what was written, with the mark of its analysis."""
    path = tmp_path_factory.mktemp("segment") / "a"
    segment = made(texts, replace(ANALYSIS, with_position=positions))
    write(path, segment, "mark")
    stored = read(path)
    assert same(stored.segment, segment)
    assert stored.fingerprint == "mark"


def test_a_file_is_never_written_over(tmp_path: Path) -> None:
    """A segment is written once."""
    write(tmp_path / "a", made(TEXTS), "mark")
    with pytest.raises(StorageError, match="cannot be written"):
        write(tmp_path / "a", made([]), "mark")
    assert same(read(tmp_path / "a").segment, made(TEXTS))


def test_each_changed_byte_that_counts_is_named(tmp_path: Path) -> None:
    """Whatever bit of a file turns over, it reads as it was or says that it is damaged."""
    path = tmp_path / "a"
    segment = made(TEXTS[:4])
    write(path, segment, "mark")
    data = path.read_bytes()
    inside = [at for at in range(len(data)) if data[at] or at >= 4096]
    harmless = 0
    for at in inside:
        broken = bytearray(data)
        broken[at] ^= 1 << (at % 8)
        path.write_bytes(broken)
        with suppress(StorageError):
            assert same(read(path).segment, segment)
            harmless += 1
    gaps = len(inside) - sum(getattr(segment, f.name).nbytes for f in fields(Segment))
    assert harmless < gaps


def test_each_cut_is_named(tmp_path: Path) -> None:
    """A file that ends too early is refused, the empty one too."""
    path = tmp_path / "a"
    write(path, made(TEXTS[:4]), "mark")
    data = path.read_bytes()
    for size in [*range(0, 700, 7), *range(4096, len(data))]:
        path.write_bytes(data[:size])
        with pytest.raises(StorageError, match=str(path)):
            read(path)


@given(st.binary(max_size=300), st.booleans())
def test_any_other_file_is_named(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, begun: bool
) -> None:
    """No bytes make reading fail in another way, not even under a checksum that is right."""
    path = tmp_path_factory.mktemp("other") / "a"
    if begun:
        line = b"embow-text 1 " + data.replace(b"\n", b"") + b" "
        data = line + xxhash.xxh3_64_hexdigest(line).encode() + b"\n"
    path.write_bytes(data)
    with pytest.raises(StorageError):
        read(path)


@pytest.mark.parametrize(
    "head",
    [
        "[" * 4000,
        "1",
        "{}",
        '{"arrays": {}}',
        '{"arrays": {"rows": [1, 2, 3, 4]}}',
        '{"arrays": {"other": ["<u4", 0, 1, ""]}}',
        '{"arrays": {"rows": ["<u4", -4, 1, ""]}}',
        '{"arrays": {"rows": ["<u4", 1e9, 1, ""]}}',
        '{"arrays": {"rows": [["<u4"], 0, 1, ""]}}',
    ],
)
def test_a_head_that_is_none_is_named(tmp_path: Path, head: str) -> None:
    """What stands in the head is not trusted because its checksum is right."""
    line = f"embow-text 1 {head} ".encode()
    (tmp_path / "a").write_bytes(line + xxhash.xxh3_64_hexdigest(line).encode() + b"\n")
    with pytest.raises(StorageError, match="is damaged"):
        read(tmp_path / "a")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The path is in the error."""
    with pytest.raises(StorageError, match="cannot be read"):
        read(tmp_path / "none")


HOSTILE = {
    "rows": ([9, 0, 3, 0, 3, 3, 3], "a row that it does not have"),
    "counts": ([0, 2, 1, 2, 1, 1, 1], "a count is zero"),
    "starts": ([0, 2, 1, 3, 4, 7], "rows of its terms overlap"),
    "cuts": ([0, 9, 3, 6, 9, 12], "terms overlap"),
    "lengths": ([1, 0, 0, 4], "counts and lengths differ"),
    "positions": ([0], "positions are missing"),
    "letters": ([255] * 27, "UTF"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_numbers_that_do_not_fit_together_are_named(tmp_path: Path, name: str) -> None:
    """Checksums alone do not make a segment: anyone can compute them."""
    segment = made(TEXTS[:4])
    values, reason = HOSTILE[name]
    old = getattr(segment, name)
    size = len(old) if name != "positions" else 1
    new = np.resize(np.array(values), size).astype(old.dtype)
    write(tmp_path / "a", replace(segment, **{name: new}), "mark")
    with pytest.raises(StorageError, match=reason):
        read(tmp_path / "a")


def test_rows_out_of_order_are_named(tmp_path: Path) -> None:
    """Rows of a term ascend, and terms do."""
    segment = made(["a", "a b"])
    for name, value in (("rows", segment.rows[::-1]), ("letters", segment.letters[::-1])):
        path = tmp_path / name
        write(path, replace(segment, **{name: np.ascontiguousarray(value)}), "mark")
        with pytest.raises(StorageError, match="out of order"):
            read(path)


def test_a_written_file_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is on the disk before anything can name it."""
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    write(tmp_path / "a", made(TEXTS), "mark")
    assert len(synced) == 1
