"""Full text: analysis, immutable segments, exact BM25.

analysis = Analysis(language="French", with_position=True)
segment = build(column, analysis)
write(segment, file)
index = TextIndex([Part(read(memoryview(data)))], analysis)
search({"text": index}, MatchQuery("routes", fuzziness=1), limit=10)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embow_text.analysis import Analysis as Analysis
    from embow_text.analysis import fingerprint as fingerprint
    from embow_text.building import build as build
    from embow_text.files import read as read
    from embow_text.files import write as write
    from embow_text.index import Part as Part
    from embow_text.index import TextIndex as TextIndex
    from embow_text.languages import LANGUAGES as LANGUAGES
    from embow_text.merging import merge as merge
    from embow_text.scoring import Bm25 as Bm25
    from embow_text.searching import Hits as Hits
    from embow_text.searching import search as search
    from embow_text.segment import Segment as Segment
    from embow_text.tokens import Token as Token
    from embow_text.tokens import tokenize as tokenize

__all__ = [
    "LANGUAGES",
    "Analysis",
    "Bm25",
    "Hits",
    "Part",
    "Segment",
    "TextIndex",
    "Token",
    "build",
    "fingerprint",
    "merge",
    "read",
    "search",
    "tokenize",
    "write",
]

_MODULES = {
    "Analysis": "analysis",
    "Bm25": "scoring",
    "Hits": "searching",
    "LANGUAGES": "languages",
    "Part": "index",
    "Segment": "segment",
    "TextIndex": "index",
    "Token": "tokens",
    "build": "building",
    "fingerprint": "analysis",
    "merge": "merging",
    "read": "files",
    "search": "searching",
    "tokenize": "tokens",
    "write": "files",
}


def __getattr__(name: str) -> Any:
    # Listing what is installed imports this package; its modules cost more than that.
    if name in _MODULES:
        return getattr(importlib.import_module(f"embow_text.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
