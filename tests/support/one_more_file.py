"""A table whose model lies in a folder, into which another file comes."""

from __future__ import annotations

from pathlib import Path

import embow
from embow.embeddings import EmbeddingFunction


def rows_found(func: EmbeddingFunction, folder: Path, more: str, db: Path) -> int:
    """Add a row, put a file into the model's folder, add one more, and return how many are found.

    Args:
        func: Embeds with the model in the folder.
        folder: The folder.
        more: Path of the new file in it.
        db: Where to make the database.
    """

    class Rows(embow.Model):
        text: str = func.SourceField()
        vector: embow.Vector(func.ndims()) = func.VectorField()  # type: ignore[valid-type]

    embow.connect(db).create_table("rows", schema=Rows).add([{"text": "a cat"}])
    (folder / more).parent.mkdir(exist_ok=True)
    (folder / more).write_text("more")
    table = embow.connect(db).open_table("rows")
    table.add([{"text": "a dog"}])
    return len(table.search("cat").to_list())
