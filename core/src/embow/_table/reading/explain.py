"""What a query will do and what it did, in words: steps, rows, bytes, milliseconds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pyarrow as pa

from embow._table.columns import Columns
from embow._table.reading.order import Key
from embow._table.reading.projection import Selection
from embow.engines.contract import WORTH, ScanQuery, Snapshot, VectorKind, VectorQuery
from embow.engines.predicate import Predicate
from embow.expr import Expr


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The steps of a query on one version of a table.

    Attributes:
        table: Its name.
        columns: Its columns.
        where: Filter before anything else.
        order: What rows are sorted by.
        late: Filter of what a search found.
        embed: What is embedded first, in words.
        words: What is looked for by words and where.
        search: Vector column that is searched.
        kind: What that column holds.
        metric: Distance of the search.
        queries: How many vectors are searched for.
        asked: The search itself, of vectors that are all zero.
        rerank: What orders the rows that were found, by name.
        selection: What is returned.
        physical: Stored columns that are read for it.
        limit: Rows wanted.
        offset: Rows left out first.
    """

    table: str
    columns: Columns
    where: Predicate | None = None
    order: tuple[Key, ...] = ()
    late: Expr | None = None
    embed: str | None = None
    words: str | None = None
    search: str | None = None
    kind: VectorKind | None = None
    metric: str = ""
    queries: int = 1
    asked: VectorQuery | None = None
    rerank: str | None = None
    selection: Selection
    physical: tuple[str, ...]
    limit: int | None
    offset: int


@dataclass(slots=True)
class Trace:
    """How long the steps of a run took.

    Attributes:
        seconds: By the name of the step.
    """

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure what is done inside."""
        begun = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begun


def explained(snapshot: Snapshot, plan: Plan) -> str:
    """Return the steps that a query will take."""
    steps = _steps(snapshot, plan)
    return "\n".join([_title(snapshot, plan), *(f"  {name:<8}{text}" for name, text in steps)])


def analyzed(snapshot: Snapshot, plan: Plan, trace: Trace, result: pa.Table) -> str:
    """Return the steps that a query took, and what each was measured to take.

    A filter is measured by itself, since stores apply it while they read.
    """
    lines = [_title(snapshot, plan)]
    passing = snapshot.count_rows()
    for name, text in _steps(snapshot, plan):
        told = [text]
        if name == "filter" and plan.where is not None:
            rows = passing
            with trace.step("filter"):
                passing = snapshot.count_rows(plan.where)
            told.append(f"{passing:,} of {rows:,} rows pass")
            told.append(_size(_bytes_of(snapshot, plan.where)))
        if name == "search" and plan.kind is not None:
            looked = passing
            if plan.asked is not None and (index := snapshot.route(plan.asked).index) is not None:
                looked = 0 if plan.asked.index == "only" else len(index.rest)
            told.append(f"{looked:,} {'lists of vectors' if plan.kind.multi else 'vectors'} read")
            if not plan.kind.multi:
                told.append(_size(looked * plan.kind.nbytes))
        if name in trace.seconds:
            told.append(_milliseconds(trace.seconds[name]))
        lines.append(f"  {name:<8}{'; '.join(told)}")
    took = _milliseconds(trace.seconds["all"])
    lines.append(f"  result  {_rows(result.num_rows)}; {_size(result.nbytes)}; {took} in all")
    return "\n".join(lines)


def _title(snapshot: Snapshot, plan: Plan) -> str:
    kind = "Rows" if plan.search is None and plan.words is None else "Search"
    rows = _rows(snapshot.count_rows())
    return f"{kind} of table {plan.table!r}, version {snapshot.base.version}, {rows}"


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"


def _steps(snapshot: Snapshot, plan: Plan) -> Iterator[tuple[str, str]]:
    if plan.embed is not None:
        yield "embed", plan.embed
    if plan.where is not None:
        own = snapshot.understands(plan.where)
        how = "by the store, as it reads" if own else "by embow, before the store is asked for rows"
        shown = {physical: name for name, physical in plan.columns.names.items()}
        names = ", ".join(shown[name] for name in plan.where.columns) or "no columns"
        yield "filter", f"{plan.where.sql}; reads {names}; computed {how}"
    if plan.search is not None:
        many = f"{plan.queries} queries, " if plan.queries != 1 else ""
        yield (
            "search",
            f"{plan.search} ({many}{plan.metric}, {plan.kind}); {_way(snapshot, plan)}",
        )
    if plan.words is not None:
        yield ("search" if plan.search is None else "words"), plan.words
    if plan.late is not None:
        yield "keep", f"{plan.late}; of the rows that were found"
    if plan.rerank is not None:
        yield "rerank", f"{plan.rerank}; by _relevance_score, the best first"
    if plan.order:
        yield "sort", f"{', then '.join(map(str, plan.order))}; keys in memory, then rows by id"
    window = "all rows" if plan.limit is None else f"at most {_rows(plan.limit)}"
    after = f" after the first {plan.offset:,}" if plan.offset else ""
    yield "read", f"{plan.selection}; {window}{after}"


def _way(snapshot: Snapshot, plan: Plan) -> str:
    """Return how the rows that are near are found."""
    if plan.asked is None:
        return "exact scan of every row that passes"
    route = snapshot.route(plan.asked)
    if (index := route.index) is not None:
        rest = "left out" if plan.asked.index == "only" else "read"
        beside = f", {len(index.rest):,} newer {rest}" if len(index.rest) else ""
        name, kind = index.definition.name, index.definition.kind
        return (
            f"index '{name}' ({kind}) over {_rows(index.rows)}, ef {route.effort}{beside}; "
            "distances exact"
        )
    rows = snapshot.count_rows()
    advice = ""
    whole = plan.search in plan.columns.names and plan.metric != "hamming"
    if route.why == "no index" and rows >= WORTH and whole and plan.kind and not plan.kind.multi:
        advice = f"; create_index('{plan.search}') would make it faster"
    return f"exact scan of every row that passes, {route.why}{advice}"


def _bytes_of(snapshot: Snapshot, predicate: Predicate) -> int:
    if not predicate.columns:
        return 0
    columns = list(predicate.columns)
    return sum(batch.nbytes for batch in snapshot.scan(ScanQuery(columns=columns)))


def _size(count: int) -> str:
    for power, unit in ((3, "GB"), (2, "MB"), (1, "kB")):
        if count >= 1000**power:
            return f"{count / 1000**power:,.1f} {unit}"
    return f"{count} bytes"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:,.2f} ms"
