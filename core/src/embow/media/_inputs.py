"""Many inputs at once: what counts as one, and work on them in threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, TypeVar

import numpy as np

from embow.errors import BadInputError
from embow.media._detect import is_pil
from embow.media._types import Media

T = TypeVar("T")


def split_inputs(inputs: Any) -> list[Any]:
    """Return inputs as a list; one image or array of pixels counts as one input.

    Takes a single value, a list or tuple, a numpy array of objects, strings or images
    ``(n, height, width, channels)``, a pandas or polars series, or Arrow data.
    """
    if isinstance(inputs, Media) or is_pil(inputs):
        return [inputs]
    if isinstance(inputs, np.ndarray) and inputs.dtype.kind in "buif":
        return [inputs] if inputs.ndim in (2, 3) else list(inputs)
    from embow.embeddings import sanitize

    return sanitize(inputs)


def map_inputs(
    work: Callable[[Any], T], inputs: Sequence[Any], workers: int, first: int = 0
) -> list[T]:
    """Return what ``work`` gives for each input, in order, in at most ``workers`` threads.

    ``first`` is the position of the first input among those of the whole call, for errors.

    Raises:
        BadInputError: Some inputs are at fault. ``row`` is the first, ``others`` holds the errors
            of the rest by position.
    """

    def attempt(value: Any) -> T | BadInputError:
        try:
            return work(value)
        except BadInputError as exc:
            return exc

    if len(inputs) <= 1 or workers <= 1:
        results = [attempt(value) for value in inputs]
    else:
        context = copy_context()  # says what may be read

        def in_context(value: Any) -> T | BadInputError:
            return context.copy().run(attempt, value)

        with ThreadPoolExecutor(min(workers, len(inputs)), "embow-media") as pool:
            results = list(pool.map(in_context, inputs))
    done = [result for result in results if not isinstance(result, BadInputError)]
    if len(done) < len(results):
        raise _joined({n: r for n, r in enumerate(results, first) if isinstance(r, BadInputError)})
    return done


def _joined(failed: dict[int, BadInputError]) -> BadInputError:
    """Return the first error, knowing its position and the other errors."""
    row, *rest = failed
    error = failed[row]
    error.row = row
    error.others = {position: failed[position] for position in rest}
    return error
