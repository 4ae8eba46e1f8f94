"""Checks of what a provider returns: one good vector an input, whatever the form of the input."""

from __future__ import annotations

import importlib
import json
import pickle
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from embow.embeddings import EmbeddingFunction, describe_settings, secret_fields, unload
from embow.embeddings.types import FailureKind
from embow.errors import ConfigurationError, EmbowError
from embow_testing import faults
from embow_testing._suite import ProviderSuite, raised, skip


class CallChecks(ProviderSuite):
    """What can be said of the vectors."""

    def test_no_input_gives_no_vector(self) -> None:
        """An empty list gives an array of no rows and the right width."""
        function = self.make()
        self.assert_shape(self.embed(function, []), 0, function)

    def test_one_vector_an_input_in_order(self) -> None:
        """One input, a full call and one more each give their vectors, in order."""
        function = self.make()
        batch = self.batch_of(function)
        inputs = self.inputs(batch + 1)
        alone = np.concatenate([self.embed(function, [v]) for v in (inputs[0], inputs[-1])])
        for count in sorted({1, batch, batch + 1}):
            vectors = self.embed(function, inputs[:count])
            self.assert_shape(vectors, count, function)
            self.assert_close(vectors[0], alone[0])
        self.assert_close(vectors[-1], alone[-1])

    def test_different_inputs_give_different_vectors(self) -> None:
        """The vectors say something of the inputs."""
        vectors = self.embed(self.make(), list(self.samples[:2]))
        same = np.allclose(vectors[0], vectors[1], atol=self.tolerance)
        assert not same, f"got one vector for {self.samples[0]!r:.80} and {self.samples[1]!r:.80}"

    def test_vectors_are_usable(self) -> None:
        """Vectors are finite and not zero, and of length one where that is promised."""
        function = self.make()
        vectors, form = self.embed(function, self.inputs(len(self.samples))), function.vector_form()
        lengths = np.linalg.norm(vectors, axis=1)
        assert np.isfinite(vectors).all(), "got NaN or infinite numbers"
        assert form.whole or (lengths > 0).all(), "got vectors of zeros"
        if self.normalized and not form.multi:
            np.testing.assert_allclose(lengths, 1.0, atol=1e-3)

    def test_queries_give_vectors_of_the_same_space(self) -> None:
        """A query, alone or in a list, gives vectors as wide as those of documents."""
        function = self.make()
        queries = list(self.queries if self.queries is not None else self.samples[:1])
        for given in (queries, queries[0]) if isinstance(queries[0], str) else (queries,):
            vectors = self.one_each(function, function.compute_query_embeddings(given))
            count = len(queries) if given is queries else 1
            self.assert_shape(vectors, count, function)
            assert np.isfinite(vectors).all(), "got NaN or infinite numbers"

    def test_every_form_of_input_gives_the_same_vectors(self) -> None:
        """Lists, tuples, numpy arrays, Arrow arrays and chunked arrays are one and the same."""
        function = self.make()
        inputs = self.inputs(2)
        expected = self.embed(function, inputs)
        for form, given in input_forms(inputs):
            vectors = self.embed(function, given)
            got, wanted = vectors.shape, expected.shape
            assert got == wanted, f"got shape {got} for a {form}, expected {wanted}"
            self.assert_close(vectors, expected)
        if isinstance(inputs[0], str):
            self.assert_close(self.embed(function, inputs[0]), expected[:1])

    def test_missing_value_is_refused(self) -> None:
        """``None`` among the inputs is an error, never a made-up vector."""
        function = self.make()
        inputs = [*self.inputs(1), None]
        raised((TypeError, ValueError, EmbowError), lambda: self.embed(function, inputs))

    def test_pickled_function_embeds_the_same(self) -> None:
        """A function that has been sent to another process embeds as the one sent."""
        function = self.make()
        expected = self.embed(function, self.inputs(1))
        again = pickle.loads(pickle.dumps(function))
        self.assert_close(self.embed(again, self.inputs(1)), expected)

    def test_metadata_and_settings_survive_use(self) -> None:
        """Embedding changes neither the identity nor what a table keeps."""
        function = self.make()
        before = json.dumps(function.to_binding("a", "b"), sort_keys=True)
        self.embed(function, self.inputs(1))
        assert json.dumps(function.to_binding("a", "b"), sort_keys=True) == before
        assert function == self.make()

    def test_errors_are_told_apart(self) -> None:
        """Errors of the vendor's package, and of the network, are retried by their class."""
        function = self.make()
        expected = [(ConnectionResetError(), FailureKind.TRANSIENT), *self.failures]
        for error, kind in expected:
            got = function.classify(error).kind
            assert got is kind, f"got {got.name} for {error!r}, expected {kind.name}"

    def test_a_failing_call_is_one_request(self) -> None:
        """The vendor's package does not retry by itself: embow does, and waits as it is told."""
        function, server = self.make(), self.server
        if server is None:
            skip("the suite has no server")
        self.embed(function, self.inputs(1))
        before = len(server.requests)
        server.always(faults.server_error())
        raised(Exception, lambda: self.embed(function, self.inputs(1)))
        made = len(server.requests) - before
        assert made == 1, f"got {made} requests for a call that fails, expected 1: retries are on"

    def test_batch_size_changes_no_vector(self) -> None:
        """A batch size that is marked operational leaves the vectors as they are."""
        function = self.make()
        kinds = {s.name: s.kind for s in describe_settings(type(function))}
        if kinds.get("batch_size") != "operational":
            skip("the provider has no operational setting batch_size")
        inputs = self.inputs(3)
        settings = function.safe_model_dump() | secrets_given(function) | {"batch_size": 1}
        single = type(function).create(**settings)
        self.assert_close(self.embed(single, inputs), self.embed(function, inputs))

    def test_two_threads_share_one_load(self, monkeypatch: Any) -> None:
        """Two threads that embed at once get right vectors, and load the model once."""
        expected = self.embed(self.make(), self.inputs(1))
        unload()
        loads = self._count_loads(monkeypatch)
        functions = [self.make(), self.make()]
        for function, vectors in zip(functions, _at_once(functions, self.inputs(1)), strict=True):
            self.assert_close(self.one_each(function, vectors), expected)
        assert len(loads) <= 1, f"loaded {len(loads)} times"

    def test_device_names(self) -> None:
        """``auto`` and ``gpu`` mean what they say, and an unknown device is a clear error."""
        function = self.make()
        if "device" not in type(function).model_fields:
            skip("the provider has no device setting")
        settings = function.safe_model_dump()

        def embed_on(device: str) -> Any:
            other = type(function).create(**settings | {"device": device})
            return self.embed(other, self.inputs(1))

        assert embed_on("auto").shape == (1, function.ndims())
        raised((ConfigurationError,), lambda: embed_on("no-such-device"))
        message = _refusal_of(lambda: embed_on("gpu"))
        assert not message or "gpu" in message, "a machine without a GPU says so"

    # -- tools --------------------------------------------------------------------------

    def assert_shape(self, vectors: Any, count: int, function: EmbeddingFunction) -> None:
        """Fail where there is not one vector an input, or one of another length."""
        expected = (count, function.ndims())
        got = np.shape(vectors)
        assert got == expected, f"got vectors of shape {got}, expected {expected}"

    def assert_close(self, actual: Any, expected: Any) -> None:
        """Fail where vectors differ by more than the tolerance."""
        np.testing.assert_allclose(actual, expected, rtol=0, atol=self.tolerance)

    def _count_loads(self, monkeypatch: Any) -> list[object]:
        """Return a list that gets one entry for each call of the loader."""
        loads: list[object] = []
        if self.loader is not None:
            module_name, _, name = self.loader.partition(":")
            module = importlib.import_module(module_name)
            load = getattr(module, name)

            def counted(*args: Any, **kwargs: Any) -> Any:
                loads.append(args)
                return load(*args, **kwargs)

            monkeypatch.setattr(module, name, counted)
        return loads


def secrets_given(function: EmbeddingFunction) -> dict[str, Any]:
    """Return the secret settings, which no dump holds."""
    return {name: getattr(function, name) for name in secret_fields(type(function))}


def input_forms(inputs: list[Any]) -> Iterator[tuple[str, Any]]:
    """Yield the same inputs in every form that can hold them."""
    yield "tuple", tuple(inputs)
    objects = np.empty(len(inputs), dtype=object)
    objects[:] = inputs
    yield "numpy objects", objects
    if not isinstance(inputs[0], (str, bytes)):
        return
    kind = pa.string() if isinstance(inputs[0], str) else pa.binary()
    array = pa.array(inputs, kind)
    yield "Arrow array", array
    yield "Arrow chunked array", pa.chunked_array([array[:1], array[1:]])
    if kind == pa.string():
        yield "numpy strings", np.array(inputs)
        yield "Arrow large strings", array.cast(pa.large_string())


def _refusal_of(call: Callable[[], Any]) -> str:
    """Return the message of the configuration error a call raises, empty where it raises none."""
    try:
        call()
    except ConfigurationError as exc:
        return str(exc)
    return ""


def _at_once(functions: list[EmbeddingFunction], inputs: list[Any]) -> list[Any]:
    """Embed the inputs with each function, all starting together."""
    start = threading.Barrier(len(functions))
    results: list[Any] = [None] * len(functions)

    def work(position: int) -> None:
        start.wait()
        try:
            results[position] = functions[position].compute_source_embeddings(inputs)
        except BaseException as exc:
            results[position] = exc

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(functions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results
