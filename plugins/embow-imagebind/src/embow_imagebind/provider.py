"""The embedding function."""

from __future__ import annotations

import json
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from embow.embeddings import EmbeddingFunction, Limits, Vectors, external, operational
from embow.embeddings.local_models import BatchSize, Device
from embow.media import (
    Media,
    MediaField,
    MediaSettings,
    Modality,
    map_inputs,
    resolve,
    split_inputs,
)
from embow_imagebind.runtime import (
    LoadedModel,
    LoadSettings,
    checkpoint_digest,
    loaded_model,
)

HUGE_NDIMS = 1024
CLASS_NDIMS = 768
"""Length of the vectors where the model's class is told no other."""


class ImageBindEmbeddings(EmbeddingFunction):
    """Embed text, images, audio, video, depth, thermal and IMU readings in one space.

    Documents and queries alike: a string is a path or address where the whole of it is one, and
    text otherwise; what files and bytes hold is told by their content. ``embow.media.text(...)``,
    ``depth(...)``, ``thermal(...)``, ``imu(...)`` and their like say it outright.

    ImageBind's code and weights are for non-commercial use (CC-BY-NC-SA 4.0); install it yourself.

    Example:
        ```python
        from embow import get_registry

        func = get_registry().get("imagebind").create(normalize=True)
        func.ndims()  # 1024, told without loading the model
        ```
    """

    provider_id: ClassVar[str | None] = "imagebind"

    name: Literal["imagebind_huge"] = Field(
        default="imagebind_huge", description="Model; only this one is published."
    )
    device: Device = "cpu"
    normalize: bool = Field(default=False, description="Scale each vector to length 1.")
    batch_size: BatchSize = Field(
        default=16, description="Inputs of one modality that go through the model together."
    )
    checkpoint: Annotated[str | None, operational, external] = Field(
        default=None, description="File with the weights, instead of downloading them."
    )
    model_kwargs: dict[str, int | float] = Field(
        default_factory=dict,
        description="Arguments of ImageBindModel, for a checkpoint of another shape.",
    )
    media: MediaField = Field(
        default_factory=MediaSettings,
        description='Limits on reading media, such as {"root": "clips", "timeout": 10}. Paths in '
        "rows are read, from anywhere without a root here or EMBOW_MEDIA_ROOT.",
    )

    # -- contract -----------------------------------------------------------------------

    def ndims(self) -> int:
        """Return the length of the vectors."""
        if not self.model_kwargs:
            return HUGE_NDIMS
        return int(self.model_kwargs.get("out_embed_dim", CLASS_NDIMS))

    def compute_source_embeddings(self, inputs: Any, *args: Any, **kwargs: Any) -> Vectors:
        """Embed inputs of any modality, in any mixture: ``(n, ndims())``.

        Raises:
            BadInputError: Inputs cannot be read or decoded; ``row`` and ``others`` say which.
        """
        return self._embed(split_inputs(inputs))

    def compute_query_embeddings(self, query: Any, *args: Any, **kwargs: Any) -> Vectors:
        """Embed queries in the same way as documents."""
        return self._embed(split_inputs(query))

    def limits(self) -> Limits:
        """Return one batch a call, and two calls at once: one decodes while one computes."""
        return Limits(max_items=self.batch_size, max_concurrency=2)

    def identity(self) -> dict[str, Any]:
        """Return what changes the vectors; a checkpoint counts by its content."""
        weights = checkpoint_digest(self.checkpoint) if self.checkpoint else None
        return {**super().identity(), "weights": weights}

    # -- in here ------------------------------------------------------------------------

    def _embed(self, values: list[Any]) -> Vectors:
        vectors = np.empty((len(values), self.ndims()), dtype=np.float32)
        if not values:
            return vectors
        model = self._model()

        def prepare(value: Any) -> tuple[str, Any]:
            media: Media = resolve(value, self.media)
            return media.kind, model.prepare(media, self.media)

        for start in range(0, len(values), self.batch_size):
            batch = values[start : start + self.batch_size]
            prepared = map_inputs(prepare, batch, self.media.workers, first=start)
            for kind, rows in _by_kind([kind for kind, _ in prepared]).items():
                tensors = [prepared[row][1] for row in rows]
                positions = np.array(rows) + start
                vectors[positions] = model.encode(kind, tensors, self.normalize)
        return vectors

    def _model(self) -> LoadedModel:
        shape = json.dumps(self.model_kwargs, sort_keys=True)
        return loaded_model(self, LoadSettings(self.name, self.checkpoint, self.device, shape))


def _by_kind(kinds: list[Any]) -> dict[Modality, list[int]]:
    """Return the positions of each modality, for one forward each."""
    groups: dict[Modality, list[int]] = {}
    for row, kind in enumerate(kinds):
        groups.setdefault(kind, []).append(row)
    return groups
