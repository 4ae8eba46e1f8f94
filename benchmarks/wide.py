"""CPU time of filters with very long lists, of very wide tables, and of importing pandas."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from functools import partial

import pyarrow as pa

import embow
from embow.engines.predicate import evaluate, parse_predicate

TERMS, CONDITIONS, COLUMNS, ROWS = 300_000, 30_000, 5_000, 8_192


def seconds(call: Callable[[], object]) -> float:
    """Return the CPU seconds of one call."""
    started = time.process_time()
    call()
    return time.process_time() - started


def filters() -> None:
    """Parse filters of many terms, and compute them over a batch."""
    batch = pa.record_batch({"id": range(ROWS), "text": [f"doc {n}" for n in range(ROWS)]})
    parse_predicate("id = 1", batch.schema)
    numbers = ",".join(map(str, range(TERMS)))
    words = ",".join(f"'doc {n}'" for n in range(TERMS))
    texts = {
        f"id IN ({TERMS:,} numbers)": f"id IN ({numbers})",
        f"text IN ({TERMS:,} texts)": f"text IN ({words})",
        f"{CONDITIONS:,} conditions joined by OR": " OR ".join(
            f"id = {n}" for n in range(CONDITIONS)
        ),
    }
    for name, sql in texts.items():
        parsing = seconds(partial(parse_predicate, sql, batch.schema))
        computing = seconds(partial(evaluate, parse_predicate(sql, batch.schema), batch))
        print(f"| `{name}` | {parsing:.2f} | {computing:.2f} |")


def wide() -> None:
    """Add single rows to a table of many columns."""
    row = {f"column_{n}": n for n in range(COLUMNS)}
    with tempfile.TemporaryDirectory() as folder, embow.connect(folder) as db:
        table = db.create_table("wide", [row])
        times = sorted(seconds(lambda: table.add([row])) for _ in range(5))
    print(f"one row of {COLUMNS:,} columns: {times[2]:.2f} s")


def main() -> None:
    """Print the measurements."""
    print(f"import pandas: {seconds(lambda: __import__('pandas')):.2f} s")
    filters()
    wide()


if __name__ == "__main__":
    main()
