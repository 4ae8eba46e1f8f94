"""The vector types of a schema. Imports neither pyarrow nor numpy."""

from __future__ import annotations

import copyreg
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, overload

from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from embow.errors import SchemaError

if TYPE_CHECKING:
    from typing import Self

    import pyarrow as pa
    from numpy.typing import NDArray
    from pydantic import GetCoreSchemaHandler

_INTEGER_RANGES = {"int8": (-128, 127), "uint8": (0, 255)}
_ARROW_NAMES = {"halffloat": "float16", "float": "float32", "double": "float64"}
VALUE_TYPES = ("float16", "float32", "float64", "int8", "uint8")
"""What the numbers of a vector may be stored as."""


@dataclass(frozen=True, slots=True)
class VectorSpec:
    """What one vector annotation asks for.

    Attributes:
        dim: Length of each vector; ``None`` takes it from the function of the field.
        value_type: One of :data:`VALUE_TYPES`.
        nullable: Whether the column may hold nulls.
        multi: Whether a value is a list of vectors.
    """

    dim: int | None
    value_type: str
    nullable: bool
    multi: bool

    def arrow_type(self, dim: int) -> pa.DataType:
        """Return the Arrow type for vectors of ``dim`` numbers."""
        import pyarrow as pa

        vector = pa.list_(getattr(pa, self.value_type)(), dim)
        return pa.list_(vector) if self.multi else vector


class VectorType(type):
    """The type of :class:`Vector` and of everything ``Vector(dim)`` returns."""

    spec: VectorSpec

    def __call__(cls, dim: int, value_type: Any = "float32", nullable: bool = True) -> VectorType:
        """Return the type of vectors of ``dim`` numbers.

        Raises:
            SchemaError: ``dim`` is not a positive integer or ``value_type`` is not supported.
        """
        if isinstance(dim, bool) or not hasattr(dim, "__index__") or int(dim) < 1:
            raise SchemaError(f"{cls.__name__}({dim!r}): the dimension must be a positive integer.")
        return _sized(cls, int(dim), _value_type(cls, value_type), bool(nullable))

    def dim(cls) -> int | None:
        """Return the length of the vectors, ``None`` where the function decides."""
        return cls.spec.dim

    def nullable(cls) -> bool:
        """Return whether the column may hold nulls."""
        return cls.spec.nullable

    def value_arrow_type(cls) -> pa.DataType:
        """Return the Arrow type of the numbers."""
        import pyarrow as pa

        return getattr(pa, cls.spec.value_type)()

    def __repr__(cls) -> str:
        spec = cls.spec
        if spec.dim is None:
            return cls.__name__
        extra = "" if spec.value_type == "float32" else f", {spec.value_type}"
        return f"{cls.__name__}({spec.dim}{extra}{'' if spec.nullable else ', nullable=False'})"

    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        spec = cls.spec
        schema = _vector_schema(spec)
        if spec.multi:
            schema = core_schema.no_info_before_validator_function(
                as_list, core_schema.list_schema(schema)
            )
        return core_schema.nullable_schema(schema) if spec.nullable else schema


def _reduce(cls: VectorType) -> str | tuple[Callable[..., VectorType], tuple[Any, ...]]:
    spec = cls.spec
    if spec.dim is None:
        return cls.__qualname__
    base: VectorType = MultiVector if spec.multi else Vector  # type: ignore[assignment]
    return _sized, (base, spec.dim, spec.value_type, spec.nullable)


# Schema classes sent to other processes by value carry their annotations with them.
copyreg.pickle(VectorType, _reduce)


@cache
def _sized(cls: VectorType, dim: int, value_type: str, nullable: bool) -> VectorType:
    spec = VectorSpec(dim, value_type, nullable, cls.spec.multi)
    namespace = {"spec": spec, "__module__": __name__, "__qualname__": cls.__name__}
    return VectorType(cls.__name__, (cls,), namespace)


def _value_type(cls: VectorType, value_type: Any) -> str:
    name = getattr(value_type, "__name__", None) or str(value_type)
    name = _ARROW_NAMES.get(name, name) if not isinstance(value_type, type) else name
    if name not in VALUE_TYPES:
        raise SchemaError(
            f"{cls.__name__}: value type {name!r} is not supported; use one of "
            f"{', '.join(VALUE_TYPES)}."
        )
    return name


def _vector_schema(spec: VectorSpec) -> CoreSchema:
    bounds = _INTEGER_RANGES.get(spec.value_type)
    number: CoreSchema = (
        core_schema.int_schema(strict=True, ge=bounds[0], le=bounds[1])
        if bounds
        else core_schema.float_schema(strict=True)
    )
    numbers = core_schema.list_schema(number, min_length=spec.dim, max_length=spec.dim)

    def check(value: Any) -> list[Any]:
        items = as_list(value)
        if spec.dim is not None and len(items) != spec.dim:
            raise PydanticCustomError(
                "vector_length",
                "Vector should have {expected} numbers, not {actual}",
                {"expected": spec.dim, "actual": len(items)},
            )
        return items

    return core_schema.no_info_before_validator_function(check, numbers)


def as_list(value: Any) -> list[Any]:
    """Return the plain Python list a list, tuple, numpy array or Arrow value holds."""
    for method in ("tolist", "as_py", "to_pylist"):
        if hasattr(value, method):
            value = getattr(value, method)()
            break
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray)):
        value = list(value)
    if not isinstance(value, list):
        raise PydanticCustomError(
            "vector_type",
            "Vector should be a list, tuple, numpy array or Arrow list, not {actual}",
            {"actual": type(value).__name__},
        )
    if value and hasattr(value[0], "item"):  # list(ndarray) holds numpy scalars
        return [item.item() if hasattr(item, "item") else item for item in value]
    return value


if TYPE_CHECKING:
    # A descriptor, so that checkers accept any sequence on the way in and give a list out.
    class Vector:
        """Type of a vector column: see the definition below."""

        def __init__(self, dim: int, value_type: Any = ..., nullable: bool = ...) -> None: ...
        @overload
        def __get__(self, obj: None, owner: type[object]) -> Self: ...
        @overload
        def __get__(self, obj: object, owner: type[object]) -> list[float]: ...
        def __get__(self, obj: object | None, owner: type[object]) -> Any: ...
        def __set__(self, obj: object, value: Sequence[float] | NDArray[Any] | None) -> None: ...

    class MultiVector:
        """Type of a column of vector lists: see the definition below."""

        def __init__(self, dim: int, value_type: Any = ..., nullable: bool = ...) -> None: ...
        @overload
        def __get__(self, obj: None, owner: type[object]) -> Self: ...
        @overload
        def __get__(self, obj: object, owner: type[object]) -> list[list[float]]: ...
        def __get__(self, obj: object | None, owner: type[object]) -> Any: ...
        def __set__(
            self, obj: object, value: Sequence[Sequence[float] | NDArray[Any]] | NDArray[Any] | None
        ) -> None: ...

else:

    class Vector(metaclass=VectorType):
        """Type of a vector column: ``vector: Vector = func.VectorField()``.

        Beside a ``VectorField`` the dimension comes from the function. ``Vector(dim, value_type,
        nullable)`` fixes it, as an annotation of its own or, where a type checker reads the
        code, as ``Annotated[list[float], Vector(128)]``. Values are given as list, tuple, numpy
        array or Arrow list and read as ``list[float]``; Arrow holds
        ``fixed_size_list<value_type>[dim]``. ``None`` is accepted unless ``nullable=False``.
        """

        spec = VectorSpec(dim=None, value_type="float32", nullable=True, multi=False)

    class MultiVector(metaclass=VectorType):
        """Type of a column that holds several vectors a row, for late interaction.

        Used like :class:`Vector`; Arrow holds ``list<fixed_size_list<value_type>[dim]>``.
        """

        spec = VectorSpec(dim=None, value_type="float32", nullable=True, multi=True)
