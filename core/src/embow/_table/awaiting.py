"""How a synchronous object is given calls to await: each runs on a thread of the database's own."""

from __future__ import annotations

import asyncio
import functools
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, cast

from embow._cancel import cancellable
from embow.pipeline._longer import LEFT_TO_CALLER, warn_user

P = ParamSpec("P")
F = TypeVar("F")
S = TypeVar("S")
T = TypeVar("T")
A = TypeVar("A", bound="Face[Any]")
_THREADS = 32


class Threads:
    """The threads the calls of one database run on."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="embow")
        self._process = os.getpid()

    async def run(self, call: Callable[[], T]) -> T:
        """Await a blocking call; where that is cancelled, the call ends without committing."""
        if self._process != os.getpid():
            self._start()  # A forked child has none of its parent's threads.
        given_up = threading.Event()
        warned: list[str] = []

        def work() -> T:
            LEFT_TO_CALLER.set(warned)
            with cancellable(given_up):
                return call()

        try:
            loop = asyncio.get_running_loop()
            result = await loop.run_in_executor(self._pool, copy_context().run, work)
        except asyncio.CancelledError:
            given_up.set()
            raise
        for text in warned:
            warn_user(text)
        return result

    def close(self) -> None:
        """Wait for the calls that run."""
        self._pool.shutdown(wait=True)


class Face(Generic[S]):
    """An object whose calls are awaited.

    Attributes:
        sync: The object itself.
    """

    def __init__(self, sync: S, threads: Threads) -> None:
        self.sync = sync
        self.threads = threads

    def __repr__(self) -> str:
        return f"Async{self.sync!r}"


def awaited(
    method: Callable[Concatenate[Any, P], T],
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]:
    """Return the method as one to await."""
    return awaited_face(lambda made, _: made, method)


def awaited_face(
    face: Callable[[Any, Threads], F], method: Callable[Concatenate[Any, P], Any]
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, F]]:
    """Return the method as one to await, whose result has calls to await itself."""

    @functools.wraps(method)
    async def call(self: Face[Any], /, *args: P.args, **kwargs: P.kwargs) -> F:
        made = await self.threads.run(functools.partial(method, self.sync, *args, **kwargs))
        return face(made, self.threads)

    return call


def building(method: Callable[Concatenate[Any, P], Any]) -> Callable[Concatenate[A, P], A]:
    """Return a method that asks for nothing yet, so that calls chain without being awaited."""

    @functools.wraps(method)
    def call(self: A, /, *args: P.args, **kwargs: P.kwargs) -> A:
        method(self.sync, *args, **kwargs)
        return self

    return call


def read(value: Any) -> Callable[[Any], Any]:
    """Return what reads a property."""
    return cast("Callable[[Any], Any]", value.fget)
