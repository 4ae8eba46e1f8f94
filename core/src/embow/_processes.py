"""What belongs to a process or to its user: what a forked child begins anew, and where files go."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, Self, TypeVar, overload

T_co = TypeVar("T_co", covariant=True)


class cached_property(Generic[T_co]):  # noqa: N801 - it is used as the one of functools
    """A value made when it is first asked for, as ``functools.cached_property`` has it.

    That one holds a lock in Python 3.11, one for all objects of a class: a child forked while some
    thread makes a value would wait for it for ever. Here two threads may both make it, and all get
    the one that is kept.
    """

    def __init__(self, make: Callable[[Any], T_co]) -> None:
        self._make = make
        self._name = make.__name__
        self.__doc__ = make.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...

    @overload
    def __get__(self, instance: object, owner: type) -> T_co: ...

    def __get__(self, instance: object | None, owner: type) -> Self | T_co:
        if instance is None:
            return self
        value: T_co = instance.__dict__.setdefault(self._name, self._make(instance))
        return value


def in_child(begin_anew: Callable[[], None]) -> Callable[[], None]:
    """Have something called in each process that is forked off this one."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=begin_anew)
    return begin_anew


def cache_folder() -> Path:
    """Return this user's folder for what can be made again."""
    import platformdirs

    return Path(platformdirs.user_cache_path("embow", appauthor=False))
