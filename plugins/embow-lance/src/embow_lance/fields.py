"""Schemas as Lance keeps them: columns with the numbers under which files hold their values.

Lance's schema cannot be edited from Python, and one made anew from Arrow would number the columns
anew. What it is pickled as can be taken apart: metadata, and one message for each field.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
from lance.fragment import FragmentMetadata
from lance.schema import LanceSchema

OWN = "embow.lance"
"""Entry of the schema's metadata that belongs to this engine."""

GONE = -2
"""Lance's number for a field of a file that no column has."""

_rebuild: Callable[..., LanceSchema] = LanceSchema.from_pyarrow(pa.schema([])).__reduce__()[0]


@dataclass(frozen=True, slots=True)
class Shape:
    """A schema taken apart.

    Attributes:
        metadata: Entries of the schema's metadata.
        fields: The messages of each column, its own first, then its children's.
        numbers: Field numbers of each column, in the same order.
    """

    metadata: Mapping[str, str]
    fields: Mapping[str, tuple[bytes, ...]]
    numbers: Mapping[str, tuple[int, ...]]

    @classmethod
    def of(cls, schema: LanceSchema) -> Shape:
        """Return the parts of a schema."""
        _, (metadata, *messages) = schema.__reduce__()
        numbers = {field.name(): tuple(_numbers(field)) for field in schema.fields()}
        rest = iter(messages)
        fields = {name: tuple(next(rest) for _ in own) for name, own in numbers.items()}
        texts = {key: bytes(value).decode() for key, value in json.loads(metadata).items()}
        return cls(texts, fields, numbers)

    @classmethod
    def new(cls, schema: pa.Schema, first: int = 0) -> Shape:
        """Return an Arrow schema, its fields numbered from ``first`` on."""
        fillers = [pa.field(f"{number}", pa.bool_()) for number in range(first)]
        made = cls.of(LanceSchema.from_pyarrow(pa.schema([*fillers, *schema])))
        return replace(made, metadata={}).only(schema.names)

    def schema(self) -> LanceSchema:
        """Return the schema put together."""
        metadata = {key: list(value.encode()) for key, value in self.metadata.items()}
        messages = [each for own in self.fields.values() for each in own]
        return _rebuild(json.dumps(metadata), *messages)

    def only(self, names: Sequence[str]) -> Shape:
        """Return these columns, in this order."""
        fields = {name: self.fields[name] for name in names}
        return replace(self, fields=fields, numbers={name: self.numbers[name] for name in names})

    def joined(self, other: Shape) -> Shape:
        """Return the columns of both."""
        return replace(
            self,
            fields={**self.fields, **other.fields},
            numbers={**self.numbers, **other.numbers},
        )

    def next_number(self) -> int:
        """Return a number that no field has, nor one that was dropped."""
        used = [number for own in self.numbers.values() for number in own]
        return int(max(self.own().get("next", 0), *used, -1)) + 1

    def own(self) -> dict[str, Any]:
        """Return what this engine noted: the table's identity, the last number of a field."""
        return dict(json.loads(self.metadata.get(OWN, "{}")))

    def noted(self, **entries: Any) -> Shape:
        """Return the shape with entries of this engine set."""
        note = json.dumps({**self.own(), **entries}, sort_keys=True)
        return replace(self, metadata={**self.metadata, OWN: note})


def _numbers(field: Any) -> Iterator[int]:
    yield field.id()
    for child in field.children():
        yield from _numbers(child)


def renumbered(fragment: FragmentMetadata, numbers: Mapping[int, int]) -> FragmentMetadata:
    """Return a fragment whose files hold their values under other field numbers."""
    for file in fragment.files:
        file.fields = [numbers.get(number, GONE) for number in file.fields]
    return fragment


def unpacked(text: Mapping[str, Any]) -> FragmentMetadata:
    """Return a fragment from its JSON form."""
    return FragmentMetadata.from_json(json.dumps(text))


def files_of(fragment: Mapping[str, Any]) -> list[str]:
    """Return the data files of a fragment in its JSON form."""
    return [file["path"] for file in fragment["files"]]
