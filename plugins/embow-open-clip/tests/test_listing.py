"""The provider is found and described without importing the library."""

from __future__ import annotations

import subprocess
import sys

import pytest
from importlib_metadata import entry_points

MAKE = "from embow_open_clip import OpenClipEmbeddings as O; "


def test_the_entry_point_names_the_plugin_module() -> None:
    """Discovery finds the plugin under the provider's id."""
    (found,) = entry_points(group="embow.plugins", name="open-clip")
    assert found.value == "embow_open_clip.plugin"


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        ("import embow_open_clip.plugin", "pydantic"),
        (f"{MAKE}O().ndims(); O().identity(); O().limits()", "torch"),
        (f"{MAKE}O()", "PIL"),
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(statement: str, unwanted: str) -> None:
    """Listing imports no pydantic; making a function and asking its facts imports no torch."""
    check = f"{statement}; import sys; sys.exit({unwanted!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
