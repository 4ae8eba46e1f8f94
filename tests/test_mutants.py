"""The faults that are planted now and then can be planted today."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PLANT = """
import run
for fault in run.FAULTS:
    try:
        fault.planted(run.PACKAGE)
    except (OSError, ValueError) as exc:
        print(exc)
"""


def test_every_fault_can_still_be_planted() -> None:
    """The text it replaces is there once: who changes that text changes the fault with it."""
    done = subprocess.run(
        [sys.executable, "-B", "-c", PLANT],
        cwd=ROOT / "tests" / "mutants",
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""
