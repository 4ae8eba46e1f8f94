"""The progress of one call: a bar where there is someone to look at it, or a callback."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from embow.pipeline._types import ProgressUpdate

Show = bool | Callable[[ProgressUpdate], None] | None

_DELAY = 1.0  # seconds: a bar for shorter calls would only flicker
_INTERVAL = 0.25


class Progress:
    """Shows updates of one call.

    ``show=None`` draws a tqdm bar in a terminal or a notebook; ``True`` always draws it; a
    callable receives each :class:`ProgressUpdate` instead.
    """

    def __init__(self, show: Show, total: int | None = None) -> None:
        self.total = total
        self._callback = show if callable(show) else None
        wanted = show is True or (show is None and _someone_looks())
        self._bar = _make_bar(total, 0.0 if show is True else _DELAY) if wanted else None
        self._last = 0.0
        self.shown = self._callback is not None or self._bar is not None

    @property
    def interval(self) -> float | None:
        """Seconds after which a waiting caller should show again, or ``None``."""
        return _INTERVAL if self._bar is not None else None

    def show(self, update: ProgressUpdate) -> None:
        """Show an update."""
        if self._callback is not None:
            self._callback(update)
        now = time.monotonic()
        if self._bar is not None and now - self._last >= _INTERVAL:
            self._last = now
            self._draw(update)

    def close(self, update: ProgressUpdate) -> None:
        """Show the last update and leave the bar as it is."""
        if self._bar is not None:
            self._draw(update)
            self._bar.close()

    def _draw(self, update: ProgressUpdate) -> None:
        assert self._bar is not None
        shown = {"cached": update.cached, "failed": update.failed, "tokens": update.tokens}
        self._bar.set_postfix({k: v for k, v in shown.items() if v}, refresh=False)
        self._bar.update(update.rows - self._bar.n)


def _someone_looks() -> bool:
    if "ipykernel" in sys.modules:
        return True
    stream = sys.stderr
    return stream is not None and stream.isatty()


def _make_bar(total: int | None, delay: float) -> Any:
    if "ipykernel" in sys.modules and "ipywidgets" in sys.modules:
        from tqdm.auto import tqdm
    else:
        from tqdm import tqdm
    return tqdm(total=total, unit=" rows", desc="Embedding", delay=delay, dynamic_ncols=True)
