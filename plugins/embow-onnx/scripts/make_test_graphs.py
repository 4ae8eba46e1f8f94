"""Make the tiny graphs in tests/graphs: other shapes of model than the built-in one.

    pip install onnx
    python plugins/embow-onnx/scripts/make_test_graphs.py

Each has the vocabulary of all-MiniLM-L6-v2 and a vector of four numbers for a token, its id times
1, 2, 3 and 4, so that a test can say what must come out.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

TARGET = Path(__file__).resolve().parents[1] / "tests/graphs"
OPSET = 17
SCALES = np.array([1, 2, 3, 4], dtype=np.float32)


def token_vectors(inputs: Sequence[str], *, output: str = "last_hidden_state") -> onnx.ModelProto:
    """Return a graph that adds its int64 inputs, and scales the sum to four numbers a token."""
    nodes = [
        helper.make_node("Sum", [f"{name}.float" for name in inputs], ["sum"]),
        helper.make_node("Unsqueeze", ["sum", "last"], ["column"]),
        helper.make_node("Mul", ["column", "scales"], [output]),
    ]
    casts = [
        helper.make_node("Cast", [name], [f"{name}.float"], to=TensorProto.FLOAT) for name in inputs
    ]
    return _model([*casts, *nodes], inputs, output, ["texts", "tokens", 4])


def text_vectors() -> onnx.ModelProto:
    """Return a graph that pools by itself: the sum over the tokens that are no padding."""
    inputs = ["input_ids", "attention_mask"]
    nodes = [
        helper.make_node("Mul", inputs, ["kept"]),
        helper.make_node("Cast", ["kept"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["float", "last"], ["sum"], keepdims=1),
        helper.make_node("Mul", ["sum", "scales"], ["sentence_embedding"]),
    ]
    return _model(nodes, inputs, "sentence_embedding", ["texts", 4])


def _model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[str],
    output: str,
    shape: Sequence[str | int],
) -> onnx.ModelProto:
    graph = helper.make_graph(
        list(nodes),
        "test",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["texts", "tokens"])
            for name in inputs
        ],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, list(shape))],
        [
            numpy_helper.from_array(np.array([-1], dtype=np.int64), "last"),
            numpy_helper.from_array(SCALES, "scales"),
        ],
    )
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", OPSET)])
    onnx.checker.check_model(model)
    return model


def main() -> None:
    """Write the graphs."""
    TARGET.mkdir(parents=True, exist_ok=True)
    onnx.save(token_vectors(["input_ids", "token_type_ids"]), TARGET / "types.onnx")
    onnx.save(token_vectors(["input_ids", "position_ids"]), TARGET / "positions.onnx")
    onnx.save(text_vectors(), TARGET / "pooled.onnx")
    onnx.save(
        token_vectors(["input_ids"]),
        TARGET / "external.onnx",
        save_as_external_data=True,
        location="external.weights",
        size_threshold=SCALES.nbytes,
    )


if __name__ == "__main__":
    main()
