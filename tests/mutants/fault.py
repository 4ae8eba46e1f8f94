"""A fault to be planted in a copy of the core, and the tests that must notice it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Fault:
    """One or more replacements of text.

    Attributes:
        name: What is wrong, in a few words.
        file: File below ``core/src/embow``.
        patches: Text as it is (exactly once in the file) and what it becomes.
        tests: The file or class whose tests must notice.
        words: Which of them, as pytest's ``-k`` takes it; all where it is empty.
    """

    name: str
    file: str
    patches: Sequence[tuple[str, str]]
    tests: str
    words: str = ""

    def planted(self, package: Path) -> str:
        """Return the file's text with the fault in it.

        Raises:
            ValueError: The text to replace is not there exactly once: the code has moved on.
        """
        text = (package / self.file).read_text(encoding="utf-8")
        for old, new in self.patches:
            if (count := text.count(old)) != 1:
                raise ValueError(f"{self.name}: {old!r} is {count} times in {self.file}, not once.")
            text = text.replace(old, new)
        return text
