"""Tells embow that this provider exists, without importing it."""

from __future__ import annotations

from embow.plugins import ProviderSpec, Sdk, hookimpl


@hookimpl
def embow_providers() -> list[ProviderSpec]:
    """Return the one provider of this distribution."""
    return [
        ProviderSpec(
            id="instructor",
            target="embow_instructor.provider:InstructorEmbeddingFunction",
            summary="Instructor text models: an instruction says what vectors are for.",
            sdk=(Sdk("sentence_transformers", "sentence-transformers>=5.1"),),
        )
    ]
