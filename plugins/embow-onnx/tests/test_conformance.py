"""The promises every provider makes."""

from __future__ import annotations

from embow.embeddings import EmbeddingFunction, FailureKind, get_registry
from embow_testing.conformance import ProviderConformance


class OnnxRuntimeError(Exception):
    """Stands for one of the runtime's exceptions, which cannot be made from Python."""

    __module__ = "onnxruntime.capi.onnxruntime_pybind11_state"


class TestOnnx(ProviderConformance):
    """The built-in model."""

    provider = "onnx"
    normalized = True
    known_models = (({}, 384), ({"name": "sentence-transformers/all-MiniLM-L6-v2"}, 384))
    batch = 40
    failures = ((OnnxRuntimeError("bad node"), FailureKind.PERMANENT),)
    loader = "onnxruntime:InferenceSession"

    def make(self) -> EmbeddingFunction:
        """Return the model inside the distribution."""
        return get_registry().get("onnx").create()
