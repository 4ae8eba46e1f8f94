"""``embow check PATH [TABLE]``: whether a database is as it was written."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from embow.engines.contract import CheckReport, Engine, EngineOptions
from embow.errors import StorageError
from embow.plugins._engines import engine_for


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Complete the parser of ``embow check``."""
    parser.set_defaults(run=run)
    parser.description = "Read all that is stored of every version, and report each damage."
    parser.add_argument("path", help="folder or address of the database")
    parser.add_argument("table", nargs="?", help="only this table")
    parser.add_argument("--json", action="store_true", help="print an object for each table")


def run(args: argparse.Namespace) -> int:
    """Print what was found. Returns the exit status: 1 where something is damaged.

    Raises:
        StorageError: There is no such database, or it cannot be opened at all.
        TableNotFoundError: There is no such table.
    """
    if "://" not in args.path and not Path(args.path).expanduser().is_dir():
        raise StorageError(f"There is no folder {args.path}.")
    engine = engine_for(args.path)(args.path, EngineOptions())
    try:
        names = engine.table_names() if args.table is None else [args.table]
        found = {name: _check(engine, name) for name in names}
    finally:
        engine.close()
    if args.json:
        every = [{"table": name, "ok": each.ok, **asdict(each)} for name, each in found.items()]
        print(json.dumps(every, indent=2))
    else:
        print("\n".join(_text(found)))
    return 0 if all(report.ok for report in found.values()) else 1


def _check(engine: Engine, name: str) -> CheckReport:
    try:
        return engine.open_table(name).check()
    except StorageError as exc:
        return CheckReport((f"Table '{name}': {exc}",))


def _text(found: dict[str, CheckReport]) -> list[str]:
    lines = []
    for name, report in found.items():
        state = "ok" if report.ok else f"{len(report.damages)} damaged"
        lines.append(f"{name}: {state} ({report.versions} versions, {report.files} files)")
        lines += [f"  {damage}" for damage in report.damages]
    return lines or ["There are no tables."]
