"""Tells embow what this distribution offers. Imports nothing of Google's."""

from __future__ import annotations

from embow.plugins import ProviderSpec, Sdk, hookimpl


@hookimpl
def embow_providers() -> list[ProviderSpec]:
    """Return the ``gemini-text`` provider."""
    return [
        ProviderSpec(
            id="gemini-text",
            target="embow_gemini.provider:GeminiText",
            summary="Google's text models, through the Gemini API or Vertex AI",
            sdk=(Sdk("google.genai", "google-genai>=1.20,<4"),),
            remote=True,
            credentials=("GOOGLE_API_KEY", "GEMINI_API_KEY"),
        )
    ]
