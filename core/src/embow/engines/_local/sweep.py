"""Removing files that nobody names any more, and nothing else."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from pathlib import Path

from embow.engines._local import faults
from embow.engines._local.failures import LOCKLESS
from embow.engines._local.sealed import FILE, FOLDER, PIECE

try:
    import fcntl
except ImportError:  # Windows keeps a file that is open from being removed by itself.
    fcntl = None  # type: ignore[assignment]

_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)


def sweep(data: Path, named: Callable[[], Collection[str]]) -> tuple[int, int]:
    """Remove files below ``data`` that are neither named nor being written; return how many.

    Args:
        data: The data folder.
        named: Returns ``folder/name`` of the files the catalog knows now.

    Returns:
        Number of files, and their bytes.
    """
    before = named()
    folders = [each for each in data.iterdir() if FOLDER.match(each.name) and _is_folder(each)]
    paths = [path for folder in folders for path in folder.iterdir() if _is_ours(path.name)]
    found = [path for path in paths if _key(path) not in before]
    held = [(path, descriptor) for path in found if (descriptor := _try_lock(path)) is not None]
    # Asked again while the locks are held: a commit may have named a file since.
    after = named()
    gone = [_removed(path, descriptor) for path, descriptor in held if _key(path) not in after]
    for _, descriptor in held:
        os.close(descriptor)
    for folder in folders:
        with suppress(OSError):  # Not empty: a table's, or one being filled.
            folder.rmdir()
    sizes = [size for size in gone if size is not None]
    return len(sizes), sum(sizes)


def _removed(path: Path, descriptor: int) -> int | None:
    with suppress(OSError):
        path.unlink()
        return os.fstat(descriptor).st_size
    return None


def _is_ours(name: str) -> bool:
    return bool(FILE.match(name) or PIECE.match(name))


def _is_folder(path: Path) -> bool:
    return stat.S_ISDIR(os.lstat(path).st_mode)


def _key(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _try_lock(path: Path) -> int | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | _NOFOLLOW)
    except OSError as exc:
        if exc.errno in (errno.ENOENT, errno.ELOOP):  # Gone, or a link, which is not ours.
            return None
        raise
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        os.close(descriptor)
        if isinstance(exc, BlockingIOError) or exc.errno in LOCKLESS:
            return None  # Somebody is writing it, or may be.
        raise
    return descriptor


def remove_files(folder: Path, names: Iterable[str]) -> tuple[int, int]:
    """Remove files that the catalog no longer names; return how many, and their bytes.

    Readers keep what they have mapped. A file that cannot be removed now is left to the next
    ``optimize()``.
    """
    sizes = []
    if not folder.is_symlink():
        for name in names:
            with suppress(OSError):
                size = os.lstat(folder / name).st_size
                (folder / name).unlink()
                sizes.append(size)
    faults.reach("files.unlinked")
    return len(sizes), sum(sizes)
