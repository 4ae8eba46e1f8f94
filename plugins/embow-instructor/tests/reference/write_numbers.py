"""Write, or check, what InstructorEmbedding 1.0.1 gives for the small model.

Runs in the environment of requirements.txt, where the original package works:

    python write_numbers.py            # writes numbers.json
    python write_numbers.py --check    # fails unless numbers.json is what the original gives
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from small_model import make_model

NUMBERS = Path(__file__).with_name("numbers.json")

INSTRUCTIONS = [
    "represent the docuement for retreival",
    "represent the document for retreiving the most similar documents",
    "represent the document for retrieval:",
    "represent the document for retrieval: ",
    "  represent the science paragraph  ",
    "represent",
    "s ",
    "",
    " ",
]
TEXTS = [
    "cells use oxygen to turn sugar into energy",
    "Capitalism has been dominant in the Western world since the end of feudalism, but most feel",
    "  how do cells get energy?  ",
    "s",
    "",
    " \n ",
    "Über 東京 and ünïcödé",
    "the disparate impact theory is especially controversial " * 80,
]


def original_vectors(folder: str) -> list[list[list[float]]]:
    """Return vectors by instruction and text, of the original package."""
    from InstructorEmbedding import INSTRUCTOR

    model = INSTRUCTOR(folder, device="cpu")
    return [
        np.asarray(
            model.encode([[instruction, text] for text in TEXTS], normalize_embeddings=True)
        ).tolist()
        for instruction in INSTRUCTIONS
    ]


def measure() -> dict[str, Any]:
    """Make the models and return everything that numbers.json holds."""
    measured: dict[str, Any] = {"instructions": INSTRUCTIONS, "texts": TEXTS, "vectors": {}}
    for tokenizer in ("split", "unsplit"):
        with tempfile.TemporaryDirectory() as folder:
            measured["weights"] = make_model(Path(folder), split=tokenizer == "split")
            vectors = original_vectors(folder)
        measured["vectors"][tokenizer] = np.round(vectors, 8).tolist()
    return measured


def main() -> None:
    """Write the numbers, or compare those that are there."""
    measured = measure()
    if "--check" not in sys.argv[1:]:
        NUMBERS.write_text(json.dumps(measured, ensure_ascii=True) + "\n", encoding="utf-8")
        return
    kept = json.loads(NUMBERS.read_text(encoding="utf-8"))
    for name in ("weights", "instructions", "texts"):
        if kept[name] != measured[name]:
            sys.exit(f"numbers.json was written for other {name}: write it again.")
    pairs = zip(kept["vectors"].values(), measured["vectors"].values(), strict=True)
    difference = max(np.abs(np.array(one) - np.array(other)).max() for one, other in pairs)
    print(f"largest difference from InstructorEmbedding 1.0.1: {difference:.2e}")
    if not difference <= 1e-6:
        sys.exit("numbers.json is not what InstructorEmbedding 1.0.1 gives.")


if __name__ == "__main__":
    main()
