"""The promises every provider makes, kept with a tiny model of ImageBind's classes."""

from __future__ import annotations

from typing import Any

import pytest

from embow_imagebind import ImageBindEmbeddings
from embow_testing.conformance import ProviderConformance


class TestConformance(ProviderConformance):
    provider = "imagebind"
    normalized = True
    known_models = (({}, 1024),)
    loader = "embow_imagebind.runtime:_load"

    @pytest.fixture(autouse=True)
    def _settings(self, settings: dict[str, Any]) -> None:
        self.settings = settings

    def make(self) -> ImageBindEmbeddings:
        return ImageBindEmbeddings.create(normalize=True, batch_size=4, **self.settings)
