"""Images, audio, video and other media as inputs, wherever they come from.

One input may be a local path, a ``file:``, ``data:`` or ``http(s):`` address, encoded bytes, a PIL
image or a numpy array; :class:`Media` says what it is where that cannot be told. Importing this
package needs nothing but numpy; Pillow is imported when an image is decoded.

For those who write providers::

    from embow.media import MediaSettings, map_inputs, open_image, split_inputs

    images = map_inputs(lambda value: open_image(value, settings), split_inputs(inputs), 16)
"""

from __future__ import annotations

from embow.media._detect import is_reference, kind_of, kind_of_bytes, kind_of_name
from embow.media._images import open_image
from embow.media._inputs import map_inputs, split_inputs
from embow.media._reading import read_bytes, resolve
from embow.media._settings import MediaField, MediaSettings
from embow.media._types import Media, Modality, audio, depth, image, imu, text, thermal, video

__all__ = [
    "Media",
    "MediaField",
    "MediaSettings",
    "Modality",
    "audio",
    "depth",
    "image",
    "imu",
    "is_reference",
    "kind_of",
    "kind_of_bytes",
    "kind_of_name",
    "map_inputs",
    "open_image",
    "read_bytes",
    "resolve",
    "split_inputs",
    "text",
    "thermal",
    "video",
]
