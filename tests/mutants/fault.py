"""A fault to be planted in a copy of the core, and the tests that must notice it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Fault:
    """One or more replacements of text.

    Attributes:
        name: What is wrong, in a few words.
        file: File below ``core/src/embow``.
        patches: Text as it is (exactly once in the file) and what it becomes.
        tests: Arguments of pytest; at least one test must fail.
    """

    name: str
    file: str
    patches: tuple[tuple[str, str], ...]
    tests: tuple[str, ...]

    def plant(self, package: Path) -> None:
        """Change the file in a copy of the package.

        Raises:
            ValueError: The text to replace is not there exactly once: the code has moved on.
        """
        path = package / self.file
        text = path.read_text(encoding="utf-8")
        for old, new in self.patches:
            if (count := text.count(old)) != 1:
                raise ValueError(f"{self.name}: {old!r} is {count} times in {self.file}, not once.")
            text = text.replace(old, new)
        path.write_text(text, encoding="utf-8")
