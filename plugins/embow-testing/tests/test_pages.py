"""Pages are run as a reader would run them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from embow_testing.pages import Surprise, documented_settings, run_page

PAGE = """# A page

```python
number = 1
print(number)
```

```text
{first}
```

Between them.

```python
print(number + 1)
```

| argument | default | meaning |
|---|---|---|
| `name` | `"x"` | Model. |
"""


def test_blocks_share_their_names_and_outputs_are_compared(tmp_path: Path) -> None:
    """A page whose outputs are right has no surprises; a wrong one is told with its line."""
    page = tmp_path / "page.md"
    page.write_text(PAGE.format(first="1"))
    assert run_page(page) == []
    page.write_text(PAGE.format(first="2"))
    assert run_page(page) == [Surprise(3, "2\n", "1\n")]


def test_an_error_has_the_line_of_the_page_and_leaves_no_module(tmp_path: Path) -> None:
    """What an example raises comes out, and nothing stays behind."""
    page = tmp_path / "page.md"
    page.write_text("Text.\n\n```python\n1 / 0\n```\n")
    before = set(sys.modules)
    with pytest.raises(ZeroDivisionError) as caught:
        run_page(page)
    assert caught.traceback[-1].lineno + 1 == 4
    assert set(sys.modules) == before


def test_settings_are_read_off_tables(tmp_path: Path) -> None:
    """Name and meaning of each row."""
    page = tmp_path / "page.md"
    page.write_text(PAGE.format(first="1"))
    assert documented_settings(page) == {"name": "Model."}
