"""Writes a BERT encoder as an ONNX graph, operator by operator.

Exporters trace a model, and some traces are silently wrong; here each operator is on the page.
The fused operators are those ONNX Runtime would find itself (domain ``com.microsoft``), so that a
session opens without searching for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

_FUSED = "com.microsoft"
_OPSET = 17
_IR_VERSION = 8

Weights = Mapping[str, NDArray[np.float32]]


class GraphWriter:
    """Collects operators and constants of one graph, under names that are the same each time."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, name: str, value: NDArray[Any]) -> str:
        """Store a constant as it is."""
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def matrix(self, name: str, value: NDArray[np.float32]) -> str:
        """Store a matrix in float16. The session widens it to float32 once, when it opens."""
        half = self.constant(name, _as_half(name, value))
        return self.operator("Cast", [half], f"{name}.wide", to=TensorProto.FLOAT)

    def operator(
        self, kind: str, inputs: Sequence[str], output: str, domain: str = "", **attributes: Any
    ) -> str:
        """Add an operator with one output."""
        self.nodes.append(
            helper.make_node(kind, inputs, [output], name=output, domain=domain, **attributes)
        )
        return output


def bert_encoder(weights: Weights, config: Mapping[str, Any]) -> onnx.ModelProto:
    """Return a model from ``input_ids`` and ``attention_mask`` to ``last_hidden_state``.

    Ids and mask are int64 of shape ``(texts, tokens)``, the mask with its zeros at the end of a
    row; the output is float32 of shape ``(texts, tokens, hidden_size)``.

    Args:
        weights: Tensors by the names of ``transformers.BertModel``.
        config: Its ``config.json``.
    """
    writer = GraphWriter()
    hidden = _embeddings(writer, weights, config)
    mask = writer.operator("Cast", ["attention_mask"], "mask", to=TensorProto.INT32)
    for layer in range(config["num_hidden_layers"]):
        hidden = _layer(writer, weights, config, f"encoder.layer.{layer}", hidden, mask)
    writer.operator("Identity", [hidden], "last_hidden_state")
    shape = ["texts", "tokens"]
    graph = helper.make_graph(
        writer.nodes,
        "bert_encoder",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, shape)
            for name in ("input_ids", "attention_mask")
        ],
        [
            helper.make_tensor_value_info(
                "last_hidden_state", TensorProto.FLOAT, [*shape, config["hidden_size"]]
            )
        ],
        writer.constants,
    )
    model = helper.make_model(
        graph,
        producer_name="embow-onnx",
        ir_version=_IR_VERSION,
        opset_imports=[helper.make_opsetid("", _OPSET), helper.make_opsetid(_FUSED, 1)],
    )
    onnx.checker.check_model(model)
    return model


def _embeddings(writer: GraphWriter, weights: Weights, config: Mapping[str, Any]) -> str:
    """Add words, positions and the type of the one segment there is."""
    words = writer.constant(
        "words", _as_half("words", weights["embeddings.word_embeddings.weight"])
    )
    # Only the rows a text uses are widened: the table stays 23 MB in memory.
    found = writer.operator("Gather", [words, "input_ids"], "words.found")
    wide = writer.operator("Cast", [found], "words.wide", to=TensorProto.FLOAT)
    places = (
        weights["embeddings.position_embeddings.weight"]
        + weights["embeddings.token_type_embeddings.weight"][0]
    )
    width = writer.operator("Shape", ["input_ids"], "width", start=1, end=2)
    start = writer.constant("start", np.zeros(1, dtype=np.int64))
    used = writer.operator(
        "Slice", [writer.constant("places", places), start, width], "places.used"
    )
    total = writer.operator("Add", [wide, used], "embeddings.sum")
    return writer.operator(
        "LayerNormalization",
        [total, *_norm(writer, weights, "embeddings.LayerNorm")],
        "embeddings",
        axis=-1,
        epsilon=config["layer_norm_eps"],
    )


def _layer(
    writer: GraphWriter,
    weights: Weights,
    config: Mapping[str, Any],
    name: str,
    hidden: str,
    mask: str,
) -> str:
    """Add one transformer layer: attention, then the feed-forward step, each with its residual."""
    parts = [f"{name}.attention.self.{part}" for part in ("query", "key", "value")]
    joined = np.concatenate([weights[f"{part}.weight"].T for part in parts], axis=1)
    bias = np.concatenate([weights[f"{part}.bias"] for part in parts])
    attended = writer.operator(
        "Attention",
        [
            hidden,
            writer.matrix(f"{name}.qkv", joined),
            writer.constant(f"{name}.qkv.bias", bias),
            mask,
        ],
        f"{name}.attended",
        domain=_FUSED,
        num_heads=config["num_attention_heads"],
    )
    epsilon = config["layer_norm_eps"]
    middle = _residual(writer, weights, f"{name}.attention.output", attended, hidden, epsilon)
    inner = _linear(writer, weights, f"{name}.intermediate.dense", middle)
    active = writer.operator(
        "BiasGelu",
        [
            inner,
            writer.constant(f"{name}.inner.bias", weights[f"{name}.intermediate.dense.bias"]),
        ],
        f"{name}.active",
        domain=_FUSED,
    )
    return _residual(writer, weights, f"{name}.output", active, middle, epsilon)


def _residual(
    writer: GraphWriter, weights: Weights, name: str, value: str, beside: str, epsilon: float
) -> str:
    """Add ``LayerNorm(beside + linear(value))``."""
    product = _linear(writer, weights, f"{name}.dense", value)
    norm = _norm(writer, weights, f"{name}.LayerNorm")
    bias = writer.constant(f"{name}.dense.bias", weights[f"{name}.dense.bias"])
    return writer.operator(
        "SkipLayerNormalization",
        [product, beside, *norm, bias],
        name,
        domain=_FUSED,
        epsilon=epsilon,
    )


def _linear(writer: GraphWriter, weights: Weights, name: str, value: str) -> str:
    matrix = writer.matrix(name, weights[f"{name}.weight"].T)
    return writer.operator("MatMul", [value, matrix], f"{name}.product")


def _norm(writer: GraphWriter, weights: Weights, name: str) -> tuple[str, str]:
    return (
        writer.constant(f"{name}.weight", weights[f"{name}.weight"]),
        writer.constant(f"{name}.bias", weights[f"{name}.bias"]),
    )


def _as_half(name: str, value: NDArray[np.float32]) -> NDArray[np.float16]:
    half = value.astype(np.float16)
    if not np.isfinite(half).all():
        raise ValueError(f"{name} has values beyond float16.")
    return half
