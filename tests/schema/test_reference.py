"""The type table of the reference page says what the code does."""

from __future__ import annotations

import datetime
import ipaddress
import pathlib
import re
import uuid
from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Literal

import pyarrow as pa
import pydantic
import pytest
from pydantic import Field, create_model

from embow.schema import Model, MultiVector, Vector

PAGE = pathlib.Path(__file__).parents[2] / "docs/reference/schema.md"
NAMES = {
    "Annotated": Annotated, "Decimal": Decimal, "Field": Field, "Literal": Literal,
    "MultiVector": MultiVector, "Sequence": Sequence, "Vector": Vector, "datetime": datetime,
    "ipaddress": ipaddress, "pa": pa, "pathlib": pathlib, "pydantic": pydantic, "uuid": uuid,
}  # fmt: skip


def table() -> list[tuple[str, str]]:
    """Return each Python type of the page's table with its Arrow type."""
    rows = re.findall(r"^\| (`.*) \| `(.*)` \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return [
        (python.replace("\\|", "|"), arrow)
        for cell, arrow in rows
        for python in re.findall(r"`([^`]+)`", cell)
    ]


def test_table_is_read() -> None:
    """The table is found on the page, all rows of it."""
    assert len(table()) == 30


@pytest.mark.parametrize(("python", "arrow"), table())
def test_row_of_the_table(python: str, arrow: str) -> None:
    """The Arrow type on the page is the one the Python type becomes."""
    model = create_model("Row", __base__=Model, value=(eval(python, dict(NAMES)), ...))
    # Arrow leaves the nullability of map values out of the name, so it is not on the page.
    assert str(model.to_arrow_schema().field("value").type) == arrow
