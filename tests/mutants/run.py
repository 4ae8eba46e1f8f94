"""Plant faults in copies of the core, one at a time, and see that the tests notice each.

``python tests/mutants/run.py [word ...]`` plants the faults whose name holds one of the words, all
without any. It ends with an error where a fault survives, or where the tests fail without one.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from fault import Fault
from in_contract import FAULTS as IN_CONTRACT
from in_local import FAULTS as IN_LOCAL
from in_memory import FAULTS as IN_MEMORY
from in_search import FAULTS as IN_SEARCH

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "core" / "src" / "embow"
SECONDS = 120
"""A fault that makes the tests hang is noticed as well."""

NONE = "no fault"
FAULTS = (*IN_MEMORY, *IN_CONTRACT, *IN_LOCAL, *IN_SEARCH)
_FAILED = re.compile(r"^(?:FAILED|ERROR) \S*?::(\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the tests said to one fault."""

    fault: Fault
    noticed: bool
    by: str
    seconds: float


def try_out(fault: Fault) -> Outcome:
    """Run the tests of a fault on a copy of the core that has it."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "embow"
        shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
        (copy / fault.file).write_text(fault.planted(PACKAGE), encoding="utf-8")
        code, output = _pytest(Path(folder), [fault.tests, "-k", fault.words])
    found = _FAILED.search(output)
    if code not in (0, 1):
        raise SystemExit(f"{fault.name}: the tests did not run.\n{output[-3000:]}")
    by = found[1] if found else "a time limit" if code else ""
    return Outcome(fault, code == 1, by, time.monotonic() - began)


def _pytest(source: Path, tests: Sequence[str]) -> tuple[int, str]:
    path = os.pathsep.join(filter(None, [str(source), os.environ.get("PYTHONPATH", "")]))
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    try:
        done = subprocess.run(
            command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        return 1, ""
    return done.returncode, done.stdout + done.stderr


def chosen(words: Sequence[str]) -> list[Fault]:
    """Return the faults asked for, and for their tests runs without a fault."""
    faults = [fault for fault in FAULTS if not words or any(word in fault.name for word in words)]
    asked: dict[str, list[str]] = {}
    for fault in faults:
        asked.setdefault(fault.tests, []).append(fault.words)
    whole = [
        Fault(f"{NONE}: {tests}", "__init__.py", (), tests, "" if "" in some else " or ".join(some))
        for tests, some in asked.items()
    ]
    return whole + faults


def main(words: Sequence[str]) -> int:
    """Try all out, print a table, and return the exit status."""
    faults = chosen(words)
    for fault in faults:
        fault.planted(PACKAGE)  # Before time is spent on the others.
    wrong = 0
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        for outcome in pool.map(try_out, faults):
            right = outcome.noticed != outcome.fault.name.startswith(NONE)
            wrong += not right
            verdict = "ok" if right else "WRONG"
            line = f"{verdict:5}  {outcome.seconds:5.1f} s  {outcome.fault.name:58}  {outcome.by}"
            print(line, flush=True)
    print(f"{len(faults)} tried, {wrong} not as they must be.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
