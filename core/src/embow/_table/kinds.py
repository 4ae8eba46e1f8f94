"""Which columns can hold what a function makes of its inputs."""

from __future__ import annotations

import pyarrow as pa

from embow.embeddings import EmbeddingFunction, VectorForm
from embow.engines.contract import VectorKind, vector_kind
from embow.errors import SchemaError


def kind_of_function(function: EmbeddingFunction, former: VectorKind | None = None) -> VectorKind:
    """Return the kind of column that holds what a function makes.

    Args:
        function: What makes it.
        former: What the column was: one of floats keeps its number type.
    """
    form = function.vector_form()
    floats = former.value_type if former and former.dtype.kind == "f" else pa.float32()
    value_type = getattr(pa, form.value_type)() if form.whole else floats
    return VectorKind(function.ndims(), value_type, form.multi)


def require_vector(field: pa.Field, ndims: int | None, function: EmbeddingFunction | None) -> None:
    """Refuse a column that cannot hold a function's vectors.

    Args:
        field: The column.
        ndims: Length of the vectors, where it is known.
        function: What makes them; ``None`` where its provider is not here, and then it is taken to
            make one vector of floats.

    Raises:
        SchemaError: The sentence says how to declare the column.
    """
    kind = vector_kind(field.type)
    form = VectorForm() if function is None else function.vector_form()
    marker = f"{'MultiVector' if form.multi else 'Vector'}({ndims or 'N'}"
    wanted = f'{marker}, "{form.value_type}")' if form.whole else f"{marker})"
    if kind is None or ndims not in (None, kind.ndims):
        several = "several vectors a row, each" if form.multi else "vectors"
        raise SchemaError(
            f"Column {field.name!r} is {field.type}, and its embedding function makes {several} "
            f"of {ndims or 'N'} numbers. Declare it as {wanted}, or in Arrow as "
            f"{_in_arrow(form, ndims or 'N')}."
        )
    if form.multi != kind.multi:
        held, made = ("a list of vectors", "one") if kind.multi else ("one vector", "several")
        raise SchemaError(
            f"Column {field.name!r} holds {held} a row, and its embedding function makes {made} of "
            f"each input. Declare it as {wanted}."
        )
    if not form.whole and kind.dtype.kind != "f":
        raise SchemaError(
            f"Column {field.name!r} holds whole numbers, which would cut the vectors of its "
            "embedding function. Declare it with float32, float16 or float64."
        )
    bits = "uint8" in (form.value_type, kind.dtype.name)
    if form.whole and form.value_type != kind.dtype.name and (bits or kind.dtype.kind != "f"):
        raise SchemaError(
            f"Column {field.name!r} holds {kind.value_type}, and its embedding function makes "
            f"{form.value_type}. Declare it as {wanted}."
        )


def _in_arrow(form: VectorForm, ndims: object) -> str:
    one = f"pa.list_(pa.{form.value_type}(), {ndims})"
    return f"pa.list_({one})" if form.multi else one
