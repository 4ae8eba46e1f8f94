"""Segments: merged, written, read, damaged."""

from __future__ import annotations

import io
from dataclasses import fields, replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def written(segment: Segment) -> bytes:
    """Return the bytes of a segment."""
    sink = io.BytesIO()
    write(segment, sink)
    return sink.getvalue()


@given(st.lists(document, max_size=8), st.booleans())
def test_bytes_hold_the_segment(texts: list[str | None], positions: bool) -> None:
    """What is read is what was written."""
    segment = made(texts, replace(ANALYSIS, with_position=positions))
    assert same(read(memoryview(written(segment))), segment)


def test_each_cut_is_named() -> None:
    """Bytes that end too early are refused."""
    data = written(made(TEXTS[:4]))
    end = len(data.rstrip(b"\0"))
    for size in [*range(0, 700, 7), *range(4096, end)]:
        with pytest.raises(ValueError, match="no segment"):
            read(memoryview(data[:size]))


@given(st.binary(max_size=300), st.booleans())
def test_any_other_bytes_are_named(data: bytes, begun: bool) -> None:
    """No bytes make reading fail in another way."""
    if begun:
        data = b"embow-text 1 " + data.replace(b"\n", b"") + b"\n"
    with pytest.raises(ValueError, match="no segment"):
        read(memoryview(data))


@pytest.mark.parametrize(
    "head",
    [
        "[" * 4000,
        "1",
        "{}",
        '{"arrays": {}}',
        '{"arrays": {"rows": [1, 2, 3, 4]}}',
        '{"arrays": {"other": ["<u4", 0, 1]}}',
        '{"arrays": {"rows": ["<u4", -4, 1]}}',
        '{"arrays": {"rows": ["<u4", 1e9, 1]}}',
        '{"arrays": {"rows": [["<u4"], 0, 1]}}',
    ],
)
def test_a_head_that_is_none_is_named(head: str) -> None:
    """What stands in the head is not trusted."""
    with pytest.raises(ValueError, match="no segment"):
        read(memoryview(f"embow-text 1 {head}\n".encode()))


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
def test_numbers_that_do_not_fit_together_are_named(name: str) -> None:
    """Checksums alone do not make a segment: anyone can compute them."""
    segment = made(TEXTS[:4])
    values, reason = HOSTILE[name]
    old = getattr(segment, name)
    size = len(old) if name != "positions" else 1
    new = np.resize(np.array(values), size).astype(old.dtype)
    with pytest.raises(ValueError, match=reason):
        read(memoryview(written(replace(segment, **{name: new}))))


def test_rows_out_of_order_are_named() -> None:
    """Rows of a term ascend, and terms do."""
    segment = made(["a", "a b"])
    for name, value in (("rows", segment.rows[::-1]), ("letters", segment.letters[::-1])):
        with pytest.raises(ValueError, match="out of order"):
            read(memoryview(written(replace(segment, **{name: np.ascontiguousarray(value)}))))
