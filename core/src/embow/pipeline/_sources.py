"""Read the source column of a record batch: which rows hold something, and what it hashes to.

The hash of a value is BLAKE2b with 16 bytes of output. Text is hashed as its UTF-8 bytes;
binary values and everything else are hashed under a personalisation of their own, so that a
text and the same bytes never meet. Stored hashes rely on this: it must not change.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from embow.schema._masks import bitmap_of

HASH_BYTES = 16
_NOTHING = bytes(HASH_BYTES)


class Source:
    """The values of one source column of one batch.

    A null, an empty text, a text of white space only, and empty bytes are nothing to embed:
    ``present`` is false for them and they have no hash.

    Attributes:
        values: Every value as Python objects, ``None`` for nulls.
        present: Which rows hold something to embed.
        digests: The 16-byte hash of each row, zeros where nothing is present.
        sizes: Bytes of each value (UTF-8 for text), 0 where unknown or missing.
        is_text: Whether the values are strings.
    """

    __slots__ = ("digests", "is_text", "present", "sizes", "values")

    def __init__(self, array: pa.Array) -> None:
        array = _plain(array)
        self.values: list[Any] = array.to_pylist()
        self.is_text = pa.types.is_large_string(array.type) or pa.types.is_string(array.type)
        binary = pa.types.is_binary(array.type) or pa.types.is_large_binary(array.type)
        type_name = str(array.type)
        present, digests, sizes = [], [], []
        for value in self.values:
            here = value is not None
            if self.is_text and here:
                here = bool(value) and not value.isspace()
            elif binary and here:
                here = bool(value)
            present.append(here)
            if not here:
                digests.append(_NOTHING)
                sizes.append(0)
            elif self.is_text:
                text = value.encode()
                digests.append(blake2b(text, digest_size=HASH_BYTES).digest())
                sizes.append(len(text))
            else:
                digests.append(hash_value(value, type_name))
                sizes.append(len(value) if binary else 0)
        self.present: NDArray[np.bool_] = np.array(present, dtype=np.bool_)
        self.digests = digests
        self.sizes = np.array(sizes, dtype=np.int64)

    def hashes(self) -> pa.Array:
        """Return the hashes as ``fixed_size_binary(16)``, null where nothing is present."""
        validity = None if self.present.all() else bitmap_of(self.present)
        data = [validity, pa.py_buffer(b"".join(self.digests))]
        return pa.Array.from_buffers(pa.binary(HASH_BYTES), len(self.digests), data)


def content_hashes(array: pa.Array) -> pa.Array:
    """Return the ``fixed_size_binary(16)`` content hash of each value, as kept beside vectors.

    Null where there is nothing to embed: null, empty, or white space only.
    """
    return Source(array).hashes()


def hash_value(value: Any, type_name: str = "") -> bytes:
    """Return the 16-byte content hash of one value."""
    if isinstance(value, str):
        return blake2b(value.encode("utf-8", "surrogatepass"), digest_size=HASH_BYTES).digest()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return blake2b(value, digest_size=HASH_BYTES, person=b"embow-binary").digest()
    text = f"{type_name}:{value!r}".encode()
    return blake2b(text, digest_size=HASH_BYTES, person=b"embow-value").digest()


def _plain(array: pa.Array) -> pa.Array:
    """Return an array of an ordinary layout: no extension, dictionary or view."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if isinstance(array, pa.DictionaryArray):
        array = array.dictionary_decode()
    if pa.types.is_string_view(array.type):
        return array.cast(pa.large_string())
    if pa.types.is_binary_view(array.type) or pa.types.is_fixed_size_binary(array.type):
        return array.cast(pa.large_binary())
    return array
