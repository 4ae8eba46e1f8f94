"""What a type checker says of a user's module."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

SAMPLE = Path(__file__).with_name("sample_typed.py")


def expected() -> dict[int, str]:
    """Return by line the error that a comment in the sample announces."""
    lines = SAMPLE.read_text().splitlines()
    found = {n: line.partition("# error: ")[2] for n, line in enumerate(lines, start=1)}
    return {n: message for n, message in found.items() if message}


@pytest.fixture(scope="module")
def errors(tmp_path_factory: pytest.TempPathFactory) -> dict[int, str]:
    """Return by line what mypy, in strict mode and without any plugin, says of the sample."""
    config = tmp_path_factory.mktemp("mypy") / "mypy.ini"
    config.write_text("[mypy]\nstrict = true\n[mypy-pyarrow.*]\nignore_missing_imports = true\n")
    command = [sys.executable, "-m", "mypy", "--config-file", str(config), "--no-error-summary"]
    command += ["--cache-dir", str(config.parent / "cache"), str(SAMPLE)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode in (0, 1), result.stderr + result.stdout
    pattern = re.compile(rf"{re.escape(SAMPLE.name)}:(\d+): error: (.*)")
    return {int(m[1]): m[2] for m in map(pattern.search, result.stdout.splitlines()) if m}


def test_correct_code_is_accepted(errors: dict[int, str]) -> None:
    """Plain Vector beside VectorField, and every other recommended spelling, has no error."""
    assert {n: e for n, e in errors.items() if n not in expected()} == {}


@pytest.mark.parametrize(("line", "message"), expected().items())
def test_mistakes_are_found(errors: dict[int, str], line: int, message: str) -> None:
    """A missing text, a wrong type and an unknown attribute are errors where they stand."""
    assert message in errors.get(line, "")
