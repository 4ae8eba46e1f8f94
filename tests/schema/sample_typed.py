"""A user's module as a type checker sees it. Run by test_typing.py, which reads the comments."""

from __future__ import annotations

from typing import Annotated, Any, assert_type

import numpy as np
from pydantic import Field

from embow.pydantic import LanceModel
from embow.schema import Model, MultiVector, Vector


class Function:
    """Stands for any embedding function: its markers return Any."""

    def SourceField(self, **kwargs: Any) -> Any: ...  # noqa: N802

    def VectorField(self, *, source: str | None = None, **kwargs: Any) -> Any: ...  # noqa: N802


func = Function()


class Document(Model):
    """The recommended spelling: the function decides the length."""

    title: str
    text: str = func.SourceField()
    vector: Vector = func.VectorField()
    sized: Annotated[list[float], Vector(3)] = Field(default_factory=list)
    optional: Vector | None = None
    many: MultiVector = func.VectorField()


class Moved(LanceModel):
    """LanceDB's base class is the same to a checker."""

    text: str


row = Document(title="t", text="x")
full = Document(title="t", text="x", vector=[1.0, 2.0], many=[[1.0], np.ones(1)])
Document(title="t", text="x", vector=(1.0, 2.0), sized=[1.0, 2.0, 3.0])
assert_type(row.text, str)
assert_type(row.vector, list[float])
assert_type(row.optional, list[float] | None)
assert_type(row.many, list[list[float]])
row.vector = np.zeros(3)
length: int = len(row.vector)
Document(text="x")  # error: Missing named argument "title"
Document(title="t", text=3)  # error: Argument "text" to "Document"
Document(title="t", text="x", vector="no")  # error: Argument "vector" to "Document"
row.vector = 5  # error: Incompatible types in assignment
print(Moved(text="x").vector)  # error: "Moved" has no attribute "vector"
