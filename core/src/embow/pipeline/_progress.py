"""The progress of one call: a bar where there is someone to look at it, or a callback."""

from __future__ import annotations

import logging
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar

from embow.pipeline._types import ProgressUpdate

E = TypeVar("E")
Show = bool | Callable[[ProgressUpdate], None] | None
logger = logging.getLogger("embow")

_DELAY = 1.0  # seconds: a bar for shorter calls would only flicker
_INTERVAL = 0.25


class Listener(Generic[E]):
    """A function of the user's: its first error is logged, and none ends work that is paid for."""

    def __init__(self, call: Callable[[E], object], kind: str) -> None:
        """Take the function, and what kind of function it is, for the log."""
        self._call = call
        self._kind = kind
        self._failed = False

    def __call__(self, event: E) -> None:
        """Tell it of an event."""
        try:
            self._call(event)
        except Exception:
            if not self._failed:
                logger.warning("The %s %r failed; going on.", self._kind, self._call, exc_info=True)
            self._failed = True


class Progress:
    """Shows updates of one call.

    ``show=None`` draws a tqdm bar in a terminal or a notebook; ``True`` always draws it; a
    callable receives each :class:`ProgressUpdate` instead.
    """

    def __init__(self, show: Show, total: int | None = None) -> None:
        self.total = total
        self._callback = Listener(show, "progress callback") if callable(show) else None
        wanted = show is True or (show is None and _someone_looks())
        self._bar = _make_bar(total, 0.0 if show is True else _DELAY) if wanted else None
        self._last = 0.0
        self.shown = self._callback is not None or self._bar is not None

    @property
    def interval(self) -> float | None:
        """Seconds after which a waiting caller should show again, or ``None``."""
        return _INTERVAL if self._bar is not None else None

    def show(self, update: ProgressUpdate) -> None:
        """Show an update; one that says ``done`` is the last."""
        if self._callback is not None:
            self._callback(update)
        now = time.monotonic()
        if self._bar is not None and (update.done or now - self._last >= _INTERVAL):
            self._last = now
            shown = {"cached": update.cached, "failed": update.failed, "tokens": update.tokens}
            self._bar.set_postfix({k: v for k, v in shown.items() if v}, refresh=False)
            self._bar.update(update.rows - self._bar.n)
            if update.done:
                self._bar.close()


class Bar:
    """A bar of rows; in a terminal or a notebook where ``show`` is ``None``."""

    def __init__(self, show: bool | None, total: int, doing: str) -> None:
        wanted = _someone_looks() if show is None else show
        self._bar = _make_bar(total, 0.0 if show is True else _DELAY, doing) if wanted else None

    def add(self, rows: int) -> None:
        """Take note of more rows."""
        if self._bar is not None:
            self._bar.update(rows)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        if self._bar is not None:
            self._bar.close()


def _someone_looks() -> bool:
    if "ipykernel" in sys.modules:
        return True
    stream = sys.stderr
    return stream is not None and stream.isatty()


def _make_bar(total: int | None, delay: float, doing: str = "Embedding") -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a notebook without widgets gets the bar made of text
        from tqdm.auto import tqdm
    return tqdm(total=total, unit=" rows", desc=doing, delay=delay, dynamic_ncols=True)
