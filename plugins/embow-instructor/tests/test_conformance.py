"""The promises every provider makes, kept with a small model of the same architecture."""

from __future__ import annotations

import pytest

from embow_instructor import InstructorEmbeddingFunction
from embow_testing.conformance import ProviderConformance


class TestConformance(ProviderConformance):
    provider = "instructor"
    normalized = True
    known_models = (({}, 768), ({"name": "hkunlp/instructor-xl"}, 768))
    loader = "embow_instructor.runtime:_load"

    @pytest.fixture(autouse=True)
    def _folder(self, folder: str) -> None:
        self.folder = folder

    def make(self) -> InstructorEmbeddingFunction:
        return InstructorEmbeddingFunction.create(name=self.folder, show_progress_bar=False)
