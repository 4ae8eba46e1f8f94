"""Full text: analysis, immutable segments, exact BM25.

analysis = Analysis(language="French", with_position=True)
segment = build(column, analysis)
write(segment, file)
index = TextIndex([Part(read(memoryview(data)))], analysis)
search({"text": index}, MatchQuery("routes", fuzziness=1), limit=10)
"""

from embow_text.analysis import Analysis, fingerprint
from embow_text.building import build
from embow_text.files import read, write
from embow_text.index import Part, TextIndex
from embow_text.languages import LANGUAGES
from embow_text.merging import merge
from embow_text.scoring import Bm25
from embow_text.search import Hits, search
from embow_text.segment import Segment
from embow_text.tokens import Token, tokenize

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
