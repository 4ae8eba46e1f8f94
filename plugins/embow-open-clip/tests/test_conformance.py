"""The promises every provider makes, kept with a tiny CLIP model."""

from __future__ import annotations

import pytest

from embow_open_clip import OpenClipEmbeddings
from embow_testing.conformance import ProviderConformance


class TestImages(ProviderConformance):
    provider = "open-clip"
    normalized = True
    known_models = (({}, 512), ({"name": "ViT-L-14"}, 768))
    queries = ("a dog", "a cat")
    loader = "embow_open_clip.runtime:_load"

    @pytest.fixture(autouse=True)
    def _inputs(self, folder: str, images: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        monkeypatch.setattr(type(self), "samples", tuple(images))

    def make(self) -> OpenClipEmbeddings:
        return OpenClipEmbeddings.create(name=self.folder, batch_size=8)


class TestTexts(ProviderConformance):
    provider = "open-clip"
    normalized = True

    @pytest.fixture(autouse=True)
    def _folder(self, folder: str) -> None:
        self.folder = folder

    def make(self) -> OpenClipEmbeddings:
        return OpenClipEmbeddings.create(name=self.folder, batch_size=8, source_type="text")
