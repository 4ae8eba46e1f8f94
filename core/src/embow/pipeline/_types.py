"""What goes into the pipeline and what comes out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from embow.errors import ConfigurationError

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from embow.embeddings._base import EmbeddingFunction
    from embow.embeddings.types import Role
    from embow.pipeline._rider import Rider

OnError = Literal["raise", "skip", "null", "quarantine"]
OnLong = Literal["truncate", "error", "split"]


@dataclass(frozen=True, slots=True)
class SourceRows:
    """Rows on their way into the pipeline.

    Attributes:
        batch: The rows, with the source columns of every job.
        needs: For a vector column, which rows to embed. A column not named: every row.
    """

    batch: pa.RecordBatch
    needs: Mapping[str, NDArray[np.bool]] = field(default_factory=dict)

    def needed(self, vector_column: str) -> NDArray[np.bool]:
        """Return which rows to embed for a vector column."""
        chosen = self.needs.get(vector_column)
        return np.ones(self.batch.num_rows, dtype=np.bool_) if chosen is None else chosen

    def slice(self, start: int, count: int) -> SourceRows:
        """Return some of the rows."""
        needs = {name: rows[start : start + count] for name, rows in self.needs.items()}
        return SourceRows(self.batch.slice(start, count), needs)


@dataclass(frozen=True, slots=True)
class EmbedJob:
    """One vector column to fill.

    Attributes:
        function: What embeds.
        source_column: Column whose values are embedded.
        vector_column: Column the vectors are for.
        ndims: Length of the vectors.
        rider: A stored source to embed along with the first request.
        fingerprint: The function's, where it is known already.
    """

    function: EmbeddingFunction
    source_column: str
    vector_column: str
    ndims: int
    rider: Rider | None = None
    fingerprint: str | None = None


@dataclass(frozen=True, slots=True)
class PipelineOptions:
    """How one call embeds.

    Attributes:
        on_error: ``raise`` stops at the first row that cannot be embedded; the others report it.
        on_long: What happens to inputs over the model's token limit.
        concurrency: Requests at once; ``None`` takes the provider's own limit.
        deadline: Seconds for one request to the provider, its waits and repetitions included. One
            that is on its way when they are over is given up.
        cache: Whether to use the cache. ``None`` uses it for remote functions, and for rows that
            take a local function much longer to embed than they take to keep.
        budget: Tokens that may be sent; the call stops before it is exceeded.
        progress: ``None`` shows a bar in a terminal or notebook; a callable gets each update, the
            last of them with ``done``.

    Raises:
        ConfigurationError: A number is none, or out of its range.
    """

    on_error: OnError = "raise"
    on_long: OnLong | None = None
    concurrency: int | None = None
    deadline: float = 600.0
    cache: bool | None = None
    budget: int | None = None
    progress: bool | Callable[[ProgressUpdate], None] | None = None

    def __post_init__(self) -> None:
        _check("concurrency", self.concurrency, "a whole number from 1", int, 1)
        _check("budget", self.budget, "a whole number from 0", int, 0)
        _check("deadline", self.deadline, "a number above 0", (int, float), math.ulp(0.0))
        if not isinstance(self.progress, bool | None) and not callable(self.progress):
            raise ConfigurationError(f"progress={self.progress!r} is no bool and no function.")


def _check(name: str, value: Any, wanted: str, types: Any, least: float) -> None:
    """Raise unless an option is ``None`` or a number from ``least`` on; NaN is not."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, types) or not value >= least:
        raise ConfigurationError(f"{name}={value!r} is not {wanted}.")


@dataclass(frozen=True, slots=True)
class ProgressUpdate:
    """Totals so far of one call; the last one of a call is ``done``."""

    rows: int
    total: int | None
    cached: int
    failed: int
    tokens: int
    done: bool = False


@dataclass(frozen=True, slots=True)
class FailedRow:
    """One input that could not be embedded.

    Attributes:
        row: Zero-based position in the data given to the call.
        column: Source column.
        kind: Class of error in lower case, such as ``"bad_input"``.
        message: What the provider said, without secrets.
    """

    row: int
    column: str
    kind: str
    message: str


@dataclass(slots=True)
class AddReport:
    """What a call that embeds did.

    Attributes:
        version: Table version after the commit.
        rows: Rows stored.
        embedded: Inputs sent to a provider and answered.
        cached: Inputs answered by the cache.
        deduplicated: Inputs equal to another one of the same call.
        failed: Inputs that could not be embedded.
        tokens: Tokens the provider reported, or the estimate where it reports none.
        requests: Provider calls made, repeated ones included.
        seconds: Wall-clock time of the call.
    """

    version: int = 0
    rows: int = 0
    embedded: int = 0
    cached: int = 0
    deduplicated: int = 0
    failed: list[FailedRow] = field(default_factory=list)
    tokens: int = 0
    requests: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """What embedding some data would take.

    Attributes:
        inputs: Values that hold something to embed.
        distinct: Different ones among them.
        cached: Distinct ones whose vectors are in the cache.
        tokens: Estimated tokens of the distinct ones that are not.
        requests: Provider calls those need.
    """

    inputs: int = 0
    distinct: int = 0
    cached: int = 0
    tokens: int = 0
    requests: int = 0


@dataclass(slots=True)
class EmbeddedBatch:
    """One record batch with the vectors of its jobs.

    Attributes:
        batch: The rows as they came in.
        first_row: Position of the first row in the data given to the call.
        needs: For a vector column, which rows were to be embedded, as they came in.
        vectors: For each vector column an array ``(rows, ndims)`` float32.
        valid: For each vector column, which rows have a vector.
        hashes: For each vector column the 16-byte content hash of each source value, as a
            ``fixed_size_binary(16)`` Arrow array, null where the source is null or empty.
        failed: Rows of this batch that failed, by vector column and offset in the batch.
        embedded: Inputs of this batch that a provider answered.
    """

    batch: pa.RecordBatch
    first_row: int
    needs: Mapping[str, NDArray[np.bool]]
    vectors: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    valid: dict[str, NDArray[np.bool]] = field(default_factory=dict)
    hashes: dict[str, pa.Array] = field(default_factory=dict)
    failed: dict[str, dict[int, FailedRow]] = field(default_factory=dict)
    embedded: int = 0


@dataclass(frozen=True, slots=True)
class RequestEvent:
    """One provider request, for observers.

    ``outcome`` is ``"ok"`` or the class of error in lower case. ``seconds`` is the time of the
    request itself, without waits. ``attempt`` counts from one.
    """

    provider: str
    model: str | None
    role: Role | Literal["rerank"]
    items: int
    tokens: int
    seconds: float
    attempt: int
    outcome: str
    ndims: int | None = None
    server: str | None = None
    details: dict[str, Any] = field(default_factory=dict)
