"""The digest of a large local model is worked out once, not in every process."""

from __future__ import annotations

from pathlib import Path

import pytest

from embow.embeddings._remembered import remembered_digest

LISTING = (("a", 3, 1), ("b/c", 4, 2))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder that the user's caches are in."""
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    return tmp_path


def digest(listing: object = LISTING, folder: str = "m", made: str = "a" * 64) -> str:
    """Ask for a digest that would be made as told."""
    return remembered_digest(Path(folder), listing, lambda: made)


def test_a_digest_is_made_once(cache: Path) -> None:
    """The next one to ask gets it without a file being read."""
    assert digest() == digest(made="b" * 64) == "a" * 64


@pytest.mark.parametrize(
    "listing", [(("a", 3, 1),), (("a", 3, 1), ("b/c", 5, 2)), (("a", 3, 1), ("b/c", 4, 3))]
)
def test_a_changed_folder_is_read_again(cache: Path, listing: object) -> None:
    """Another name, size or time makes another digest, and so does another folder."""
    digest()
    assert digest(listing, made="b" * 64) == "b" * 64
    assert digest(folder="n", made="c" * 64) == "c" * 64


def test_files_changed_a_moment_ago_are_read_again(cache: Path) -> None:
    """They may change once more at the same time of change."""
    now = (("a", 3, 2**62),)
    digest(now)
    assert digest(now, made="b" * 64) == "b" * 64


@pytest.mark.parametrize("damage", ["", "zz", "A" * 64, "a" * 65])
def test_a_damaged_note_is_made_again(cache: Path, damage: str) -> None:
    """What is no digest is not believed."""
    digest()
    (kept,) = (path for path in cache.rglob("digests/*") if path.is_file())
    kept.write_text(damage)
    assert digest(made="b" * 64) == "b" * 64


def test_a_folder_that_cannot_be_written_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The digest is made each time."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert digest() == "a" * 64
    assert digest(made="b" * 64) == "b" * 64
