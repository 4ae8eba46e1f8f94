"""Whether a function embeds in a process forked after it was used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

_TORCHVISION = Path(__file__).parent / "cpu_torchvision"
"""Beside a CPU build of torch, torchvision from PyPI is mended as an interpreter starts."""

_SCRIPT = """
import json, os, signal, sys, warnings
warnings.simplefilter("ignore")  # newer Pythons warn of a fork beside threads
import numpy as np
from embow import get_registry
provider, settings, inputs = json.loads(sys.argv[1])
func = get_registry().get(provider).create(**settings)
here = func.compute_source_embeddings(inputs)
child = os.fork()
if child == 0:
    signal.alarm(60)  # a call that waits for threads would never return
    there = func.compute_source_embeddings(inputs)
    os._exit(0 if np.allclose(here, there, atol=1e-4) else 1)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def embed_in_a_child(provider: str, settings: dict[str, Any], inputs: list[str]) -> None:
    """Embed with several threads, fork, and embed the same in the child, which must not hang."""
    arguments = json.dumps([provider, settings, inputs])
    subprocess.run(
        [sys.executable, "-c", _SCRIPT, arguments],
        check=True,
        timeout=150,
        env={**os.environ, "OMP_NUM_THREADS": "2", "PYTHONPATH": os.fspath(_TORCHVISION)},
    )
