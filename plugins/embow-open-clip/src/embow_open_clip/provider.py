"""The embedding function."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from embow.embeddings import (
    EmbeddingFunction,
    External,
    Limits,
    Role,
    Vectors,
    local_path,
    require_texts,
)
from embow.embeddings.local_models import BatchSize, CacheFolder, Device
from embow.errors import BadInputError
from embow.media import (
    Media,
    MediaField,
    MediaSettings,
    is_reference,
    kind_of,
    map_inputs,
    open_image,
    split_inputs,
)
from embow_open_clip.catalog import (
    free_ndims,
    model_folder,
    model_identity,
    names_local_model,
)
from embow_open_clip.runtime import LoadedModel, LoadSettings, config_ndims, loaded_model


class OpenClipEmbeddings(EmbeddingFunction):
    """Embed images and text in one space with a CLIP model, on this machine.

    Strings in a source column are images: paths, ``file:``, ``data:`` or ``http(s):`` addresses.
    A query string is text; to search by an image, pass bytes, a path object, a PIL image, an array
    of pixels, or ``embow.media.image("dog.jpg")``. ``source_type`` changes what strings of the
    source column are.

    Example:
        ```python
        from embow import get_registry

        func = get_registry().get("open-clip").create(name="ViT-B-32")
        func.ndims()  # 512, told without loading the model
        ```
    """

    provider_id: ClassVar[str | None] = "open-clip"

    name: Annotated[str, External(names_local_model)] = Field(
        default="ViT-B-32", description="Model of open_clip, or a folder saved by open_clip."
    )
    pretrained: Annotated[str, local_path] = Field(
        default="laion2b_s34b_b79k",
        description='Published tag of the weights, or a checkpoint file; "random" for none.',
    )
    device: Device = "cpu"
    batch_size: BatchSize = Field(
        default=64, description="Inputs that go through the model together."
    )
    normalize: bool = Field(default=True, description="Scale each vector to length 1.")
    source_type: Literal["image", "text", "auto"] = Field(
        default="image",
        description='What strings of the source column are; "auto" takes paths and addresses of '
        "images as images, other strings as text.",
    )
    precision: Literal["fp32", "fp16", "bf16"] = Field(
        default="fp32", description="Precision the model computes in."
    )
    cache_dir: CacheFolder = Field(default=None, description="Where downloaded weights are kept.")
    media: MediaField = Field(
        default_factory=MediaSettings,
        description='Limits on reading images, such as {"root": "photos", "timeout": 10}. Paths in '
        "rows are read, from anywhere without a root here or EMBOW_MEDIA_ROOT.",
    )

    @model_validator(mode="after")
    def _check_weights(self) -> Self:
        if not self.pretrained and model_folder(self.name) is None:
            raise ValueError(
                "pretrained names the weights; without it the model would be random. Pass a "
                "published tag or a checkpoint file, or pretrained='random' if that is meant"
            )
        return self

    # -- contract -----------------------------------------------------------------------

    def ndims(self) -> int:
        """Return the length of the vectors, from the model's configuration."""
        free = free_ndims(self.name) or self.known_ndims()
        return free or config_ndims(self, self.name)

    def compute_source_embeddings(self, inputs: Any, *args: Any, **kwargs: Any) -> Vectors:
        """Embed documents, images unless ``source_type`` says otherwise: ``(n, ndims())``.

        Raises:
            BadInputError: Inputs cannot be read or decoded; ``row`` and ``others`` say which.
        """
        return self._embed(split_inputs(inputs), "document")

    def compute_query_embeddings(self, query: Any, *args: Any, **kwargs: Any) -> Vectors:
        """Embed queries: strings as text, everything else as images."""
        return self._embed(split_inputs(query), "query")

    def limits(self) -> Limits:
        """Return one batch a call, and two calls at once: one decodes while one computes."""
        return Limits(max_items=self.batch_size, max_concurrency=2)

    def identity(self) -> dict[str, Any]:
        """Return what changes the vectors; local weights count by their content."""
        return {**super().identity(), **model_identity(self.name, self.pretrained)}

    def model_label(self) -> str:
        """Return the model's name for messages, of a folder its last part."""
        folder = model_folder(self.name)
        return folder.name if folder else self.name

    # -- in here ------------------------------------------------------------------------

    def _embed(self, values: list[Any], role: Role) -> Vectors:
        vectors = np.empty((len(values), self.ndims()), dtype=np.float32)
        if not values:
            return vectors
        is_text = np.array(map_inputs(lambda value: self._is_text(value, role), values, 1))
        model = self._model()
        texts, images = np.flatnonzero(is_text), np.flatnonzero(~is_text)
        for rows in _batches(texts, self.batch_size):
            part = [_text(values[at]) for at in rows]
            _at_rows(rows, partial(require_texts, part))
            vectors[rows] = model.encode_texts(part, self.normalize)

        def prepare(value: Any) -> Any:
            return model.prepare_image(open_image(value, self.media))

        def prepare_batch(rows: Any) -> list[Any]:
            return _at_rows(rows, lambda: map_inputs(prepare, [values[at] for at in rows], workers))

        workers = self.media.workers
        for rows, prepared in _ahead(prepare_batch, list(_batches(images, self.batch_size))):
            vectors[rows] = model.encode_images(prepared, self.normalize)
        return vectors

    def _is_text(self, value: Any, role: Role) -> bool:
        """Tell whether an input goes through the text tower.

        Raises:
            BadInputError: It is neither text nor an image.
        """
        if isinstance(value, str):
            if role == "query" or self.source_type == "text":
                return True
            return self.source_type == "auto" and not is_reference(value)
        kind = kind_of(value)
        if kind not in ("image", "text", None):
            raise BadInputError(f"open-clip embeds images and text, not {kind}.")
        return kind == "text"

    def _model(self) -> LoadedModel:
        settings = LoadSettings(
            name=self.name,
            pretrained=self.pretrained,
            device=self.device,
            precision=self.precision,
            cache_dir=self.cache_dir,
        )
        return loaded_model(self, settings)


def _text(value: Any) -> str:
    text = value.value if isinstance(value, Media) else value
    return str(text)


def _batches(rows: Any, size: int) -> Iterator[Any]:
    return (rows[start : start + size] for start in range(0, len(rows), size))


def _at_rows(rows: Any, work: Callable[[], list[Any]]) -> list[Any]:
    """Run work on some rows; errors name positions among all inputs."""
    try:
        return work()
    except BadInputError as exc:
        if exc.row is not None:
            exc.row = int(rows[exc.row])
        exc.others = {int(rows[at]): error for at, error in exc.others.items()}
        raise


def _ahead(
    prepare: Callable[[Any], list[Any]], batches: list[Any]
) -> Iterator[tuple[Any, list[Any]]]:
    """Yield each batch with what was prepared for it, preparing the next one meanwhile."""
    if len(batches) <= 1:
        yield from ((batch, prepare(batch)) for batch in batches)
        return
    with ThreadPoolExecutor(1, "embow-open-clip") as ahead:
        coming = ahead.submit(prepare, batches[0])
        for batch, following in zip(batches, [*batches[1:], None], strict=True):
            prepared = coming.result()
            if following is not None:
                coming = ahead.submit(prepare, following)
            yield batch, prepared
