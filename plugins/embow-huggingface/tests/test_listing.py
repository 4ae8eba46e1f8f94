"""The provider is found, described and listed without importing the library."""

from __future__ import annotations

import subprocess
import sys

import pytest
from importlib_metadata import entry_points

from embow_huggingface import TransformersEmbeddingFunction
from embow_huggingface.plugin import embow_providers

MAKE = "from embow_huggingface import TransformersEmbeddingFunction as S; "


def test_the_entry_point_names_the_plugin_module() -> None:
    """Discovery finds the plugin under the provider's id."""
    (found,) = entry_points(group="embow.plugins", name="huggingface")
    assert found.value == "embow_huggingface.plugin"


def test_the_spec_leads_to_the_class() -> None:
    """The target of the spec is the class that the package exports."""
    (spec,) = embow_providers()
    module, _, name = spec.target.partition(":")
    assert module == TransformersEmbeddingFunction.__module__
    assert name == TransformersEmbeddingFunction.__name__
    assert spec.id == TransformersEmbeddingFunction.provider_id


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        ("import embow_huggingface.plugin", "pydantic"),
        (f"{MAKE}S()", "torch"),
        (
            f"{MAKE}S().ndims(); S().identity()",
            "transformers",
        ),
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(statement: str, unwanted: str) -> None:
    """Listing imports no pydantic; making a function and asking its facts imports no torch."""
    check = f"{statement}; import sys; sys.exit({unwanted!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_every_argument_says_what_it_is_for() -> None:
    """Each field has a description, so that tables of arguments can be made from them."""
    fields = TransformersEmbeddingFunction.model_fields
    assert [name for name, field in fields.items() if not field.description] == []
