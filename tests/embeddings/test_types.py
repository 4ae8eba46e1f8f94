"""Marks of settings: which values ask for trust."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from embow.embeddings import External, external, local_path
from embow.embeddings.types import leaves_folder


@pytest.mark.parametrize(
    "value",
    ["/m", "~/m", "./m", "../m", "a/../m", "a\\m", "C:m", "file:///m", "here", "here/m", 1, ["a"]],
)
def test_local_places_ask(value: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every way to write a path does, and a plain name where something of that name exists."""
    (tmp_path / "here" / "m").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert local_path.asks(value, "here")


@pytest.mark.parametrize("value", ["org/name", "name", "name-v1.5", "hf-hub:org/name", "", None])
def test_names_of_a_hub_do_not_ask(value: Any) -> None:
    """Nor does a name that no file can have."""
    assert not local_path.asks(value, "m")
    assert not local_path.asks("n" * 5000, "m")
    assert not leaves_folder(value)


def test_marks_without_a_condition_go_by_the_default() -> None:
    """All but the default asks; a condition looks at the value alone."""
    assert not external.asks(None, None)
    assert external.asks("x", None)
    assert External(bool).asks("x", "x")
    assert (repr(external), repr(External(leaves_folder))) == (
        "external",
        "External(leaves_folder)",
    )
