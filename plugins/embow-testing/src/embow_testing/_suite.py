"""What the parts of the conformance suite share: what an author gives, and small tools."""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NoReturn, TypeVar

import numpy as np
from numpy.typing import NDArray

from embow import plugins
from embow.embeddings import EmbeddingFunction
from embow.embeddings.types import FailureKind
from embow.plugins import ListedProvider, ProviderSpec
from embow_testing.server import EmbeddingServer

E = TypeVar("E", bound=BaseException)

LEADS_ELSEWHERE = re.compile(
    r"(?:^|_)(?:url|uri|endpoint|host|headers?|prox(?:y|ies)|path|dir|folder|address|server|domain)"
    r"(?:_|$)|^trust_remote_code$"
)
"""Names of settings that decide where data and keys go, or what runs."""

_SAMPLES = (
    "A fox jumps over a lazy dog.",
    "Bread is made of flour, water and salt.",
    "The moon pulls the tides.",
)

# Runs in a fresh interpreter: refuses the modules named in the arguments, then runs the job that
# arrives pickled.
_CHILD = """
import pickle, sys
for module in sys.argv[1].split(","):
    if module:
        sys.modules[module] = None
report = pickle.load(sys.stdin.buffer)()
sys.stdout.write(report)
"""


class ProviderSuite:
    """What an author of a provider gives.

    Attributes:
        provider: Id of the provider.
        normalized: Whether vectors are promised to have length one.
        known_models: Settings with the vector length they must give without loading anything:
            ``(({"name": "acme-large"}, 1024), ...)``.
        batch: Inputs that fill one call; taken from ``limits()`` or ``batch_size`` where ``None``.
        samples: Inputs to embed; give your own where the provider does not take text.
        queries: Query inputs; the samples where ``None``.
        tolerance: Largest difference between a vector alone and the same in a batch.
        failures: Exceptions of the vendor's package with the kind each must be classified as.
        secret_field: Setting that holds the key, where there is one; ``None`` where the vendor's
            package alone reads it.
        server: Test server that ``make()`` calls, where there is one; set it in a fixture.
        loader: ``"module:callable"`` that loads the model; two threads may call it only once.
        overrides: Methods of the base that are overridden on purpose, with the reason.
    """

    provider: ClassVar[str]
    normalized: ClassVar[bool] = False
    known_models: ClassVar[Sequence[tuple[Mapping[str, Any], int]]] = ()
    batch: ClassVar[int | None] = None
    samples: ClassVar[Sequence[Any]] = _SAMPLES
    queries: ClassVar[Sequence[Any] | None] = None
    tolerance: ClassVar[float] = 1e-4
    failures: ClassVar[Sequence[tuple[BaseException, FailureKind]]] = ()
    secret_field: ClassVar[str | None] = "api_key"
    server: EmbeddingServer | None = None
    loader: ClassVar[str | None] = None
    overrides: ClassVar[Mapping[str, str]] = {}

    def make(self) -> EmbeddingFunction:
        """Return a new function that can embed here, without the vendor's network."""
        raise NotImplementedError("Write make() in your subclass of ProviderConformance.")

    def inputs(self, count: int) -> list[Any]:
        """Return ``count`` inputs, all different where they are text."""
        chosen = [self.samples[i % len(self.samples)] for i in range(count)]
        return [f"{v} ({i})" if isinstance(v, str) else v for i, v in enumerate(chosen)]

    # -- tools of the checks ------------------------------------------------------------

    def listed(self) -> ListedProvider:
        """Return how the provider is listed, or skip for one registered in the test itself."""
        listed = plugins.catalog().find(ProviderSpec, self.provider)
        if listed is None or listed.spec is None:
            skip(f"provider {self.provider!r} is registered here, not by an installed plugin")
        return listed

    def spec(self) -> ProviderSpec:
        """Return what the plugin declared."""
        spec = self.listed().spec
        assert spec is not None
        return spec

    def batch_of(self, function: EmbeddingFunction) -> int:
        """Return how many inputs fill one call."""
        declared = self.batch or function.limits().max_items
        return int(declared or getattr(function, "batch_size", None) or 8)

    def embed(self, function: EmbeddingFunction, inputs: Any) -> NDArray[np.float32]:
        """Embed documents, and see that what comes back has the form that is promised."""
        return self.one_each(function, function.compute_source_embeddings(inputs))

    def one_each(self, function: EmbeddingFunction, vectors: Any) -> NDArray[np.float32]:
        """Return one vector an input: of several that were made of it, the mean."""
        if function.vector_form().multi:
            assert isinstance(vectors, list), f"a list of arrays is promised, not {type(vectors)}"
            for each in vectors:
                got = (each.dtype, each.ndim, each.shape[-1], len(each) > 0)
                promised = (np.float32, 2, function.ndims(), True)
                assert got == promised, f"got {each.dtype} of shape {each.shape} for an input"
            means = [each.mean(axis=0) for each in vectors]
            return np.array(means, np.float32).reshape(-1, function.ndims())
        assert isinstance(vectors, np.ndarray), f"an array is promised, not {type(vectors)}"
        assert vectors.dtype == np.float32, f"float32 is promised, not {vectors.dtype}"
        assert vectors.ndim == 2, f"shape (n, ndims) is promised, not {vectors.shape}"
        return vectors


def skip(reason: str) -> NoReturn:
    """Skip the running test."""
    import pytest

    pytest.skip(reason)


def raised(kind: type[E] | tuple[type[E], ...], call: Callable[[], Any]) -> E:
    """Return the error a call raises, failing where it raises none or another."""
    try:
        result = call()
    except kind as exc:
        return exc
    except Exception as exc:
        raise AssertionError(f"expected {kind}, got {type(exc).__name__}: {exc}") from exc
    raise AssertionError(f"expected {kind}, got the result {result!r:.200}")


def in_fresh_process(job: Callable[[], str], without: Sequence[str] = ()) -> str:
    """Run a picklable job in a new interpreter where some modules cannot be imported."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, ",".join(without)],
        input=pickle.dumps(job),
        capture_output=True,
        env=environment,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout.decode()
