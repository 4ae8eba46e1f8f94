"""The checks every reranker that asks a model must pass, for a plugin's own test suite.

Subclass :class:`RerankerConformance` in a pytest file, give it ``reranker`` and ``make()``, and
pytest collects one test for each promise::

    class TestAcme(RerankerConformance):
        reranker = "acme"

        def make(self):
            return get_reranker("acme").create(base_url=self.server.url, api_key="k")
"""

from __future__ import annotations

import dataclasses
import functools
import json
import pickle
import sys
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from embow import plugins
from embow.embeddings import describe_settings, plain_secrets, secret_fields
from embow.embeddings.types import FailureKind
from embow.errors import ConfigurationError, MissingCredentialError, MissingSdkError
from embow.plugins import API_VERSION, RerankerSpec, State
from embow.rerankers import ModelReranker, get_reranker
from embow_testing import faults
from embow_testing._suite import LEADS_ELSEWHERE, in_fresh_process, raised, skip
from embow_testing.server import EmbeddingServer

__all__ = ["RerankerConformance"]

_SENTINEL = "sentinel-Zk4f9wQ"


class RerankerConformance:
    """One test method for each promise of a reranker that asks a model.

    Attributes:
        reranker: Id of the reranker.
        query: What is searched for.
        texts: Texts of which the first answers the query best.
        tolerance: Largest difference between a score alone and the same in a batch.
        failures: Exceptions of the vendor's package with the kind each must be classified as.
        secret_field: Setting that holds the key, where there is one.
        server: Test server that ``make()`` calls, where there is one; set it in a fixture.
    """

    reranker: ClassVar[str]
    query: ClassVar[str] = "How is bread made?"
    texts: ClassVar[Sequence[str]] = (
        "How bread is made: of flour, water and salt.",
        "A fox jumps over a lazy dog.",
        "The moon pulls the tides.",
    )
    tolerance: ClassVar[float] = 1e-4
    failures: ClassVar[Sequence[tuple[BaseException, FailureKind]]] = ()
    secret_field: ClassVar[str] = "api_key"
    server: EmbeddingServer | None = None

    def make(self) -> ModelReranker:
        """Return a new reranker that can score here, without the vendor's network."""
        raise NotImplementedError("Write make() in your subclass of RerankerConformance.")

    # -- what is declared -----------------------------------------------------------------

    def test_spec_is_plain_and_complete(self) -> None:
        """The spec is data only, for this interface, with a summary to list it by."""
        spec = self.spec()
        assert json.loads(json.dumps(dataclasses.asdict(spec)))["id"] == spec.id
        assert pickle.loads(pickle.dumps(spec)) == spec
        assert spec.api == API_VERSION, f"written for interface {spec.api}, not {API_VERSION}"
        assert spec.summary, "a summary of one line is shown in listings"
        assert len(spec.summary) <= 70, f"{len(spec.summary)} characters do not fit a line"

    def test_listing_imports_neither_class_nor_sdk(self) -> None:
        """Rerankers are listed without importing the class or any package it calls."""
        spec = self.spec()
        watched = (spec.target.partition(":")[0], *(sdk.module for sdk in spec.sdk))
        imported = in_fresh_process(functools.partial(_imported_by_listing, watched))
        assert json.loads(imported) == [], "imported while listing"

    def test_class_answers_to_its_name(self) -> None:
        """The class behind the spec is the one that is made, and calls itself by the id."""
        reranker = self.make()
        assert reranker.name_of_provider() == self.reranker
        assert get_reranker(self.spec().id) is type(reranker)

    def test_settings_are_documented_and_marked(self) -> None:
        """Each setting says what it does, and those that lead elsewhere need trust."""
        settings = describe_settings(type(self.make()))
        bare = [s.name for s in settings if not s.description]
        assert not bare, f"no Field(description=...): {', '.join(bare)}"
        open_ones = [s.name for s in settings if LEADS_ELSEWHERE.search(s.name) and not s.external]
        assert not open_ones, f"{', '.join(open_ones)}: annotate with external or local_path"

    def test_unknown_argument_is_refused(self) -> None:
        """A misspelt argument is named together with those that exist, never with its value."""
        cls, wrong = type(self.make()), {"no_such_setting": "sentinel-value"}
        error = raised(ConfigurationError, lambda: cls.create(**wrong))
        assert "no_such_setting" in str(error)
        assert "return_score" in str(error), "the accepted arguments are listed"
        assert "sentinel-value" not in str(error)

    def test_identity_is_plain_and_keeps_out_what_does_not_matter(self) -> None:
        """The identity is JSON with the id, and without what changes no score."""
        reranker = self.make()
        identity = reranker.identity()
        assert json.loads(json.dumps(identity)) == identity
        assert identity["provider"] == self.reranker
        assert not identity.keys() & {"column", "return_score", *secret_fields(type(reranker))}

    def test_pickles(self) -> None:
        """A reranker survives pickling, and then scores the same."""
        reranker = self.make()
        again = pickle.loads(pickle.dumps(reranker))
        assert again == reranker
        self.assert_close(self.score(again, self.texts), self.score(reranker, self.texts))

    # -- scores -----------------------------------------------------------------------------

    def test_the_better_answer_has_the_higher_score(self) -> None:
        """The first text scores above the others, wherever it stands."""
        scores = self.score(self.make(), self.texts)
        assert scores.argmax() == 0, f"got {scores}"
        turned = self.score(self.make(), self.texts[::-1])
        assert turned.argmax() == len(self.texts) - 1, f"got {turned}"

    def test_one_score_a_text_in_order(self) -> None:
        """One text, a full call and one more each give their scores, in order."""
        reranker = self.make()
        most = reranker.limits().max_items or 8
        texts = [f"{self.texts[n % len(self.texts)]} ({n})" for n in range(min(most, 200) + 1)]
        alone = [float(self.score(reranker, [text])[0]) for text in (texts[0], texts[-1])]
        for count in sorted({1, len(texts) - 1, len(texts)}):
            scores = self.score(reranker, texts[:count])
            self.assert_close(scores[0], alone[0])
        self.assert_close(scores[-1], alone[1])

    def test_rows_without_text_come_last_and_are_not_sent(self) -> None:
        """Null and blank texts have no score; a result of none of them asks nobody."""
        reranker = self.make()
        found = reranker.rerank_vector(self.query, _rows([None, *self.texts, "  "]))
        assert found.column("_rowid").to_pylist()[0] == 1
        assert set(found.column("_rowid").to_pylist()[-2:]) == {0, len(self.texts) + 1}
        assert found.column("_relevance_score").null_count == 2
        before = len(self.server.requests) if self.server else 0
        for texts in ([], [None, ""]):
            assert reranker.rerank_vector(self.query, _rows(texts)).num_rows == len(texts)
        assert before == (len(self.server.requests) if self.server else 0)

    def test_both_halves_of_a_search_are_one_result(self) -> None:
        """A row that both halves found comes once, with all scores where they are asked for."""
        near, fit = _rows(self.texts), _rows(self.texts[:1], "_score")
        relevance = self.make().rerank_hybrid(self.query, near, fit)
        assert relevance.schema.names == ["text", "_rowid", "_relevance_score"]
        assert relevance.schema.field("_relevance_score").type == pa.float32()
        scores = relevance.column("_relevance_score").to_pylist()
        assert scores == sorted(scores, reverse=True)
        assert relevance.column("_rowid").to_pylist()[0] == 0
        assert sorted(relevance.column("_rowid").to_pylist()) == list(range(len(self.texts)))
        reranker = self.make().model_copy(update={"return_score": "all"})
        every = reranker.rerank_hybrid(self.query, near, fit)
        assert {"_distance", "_score", "_relevance_score"} <= set(every.schema.names)

    # -- failures, keys, packages -------------------------------------------------------------

    def test_errors_are_told_apart(self) -> None:
        """Errors of the vendor's package, and of the network, are retried by their class."""
        reranker = self.make()
        for error, kind in ((ConnectionResetError(), FailureKind.TRANSIENT), *self.failures):
            got = reranker.classify(error).kind
            assert got is kind, f"got {got.name} for {error!r}, expected {kind.name}"

    def test_a_failing_call_is_one_request(self) -> None:
        """The vendor's package does not retry by itself: embow does, and waits as it is told."""
        reranker, server = self.make(), self.server
        if server is None:
            skip("the suite has no server")
        self.score(reranker, self.texts)
        before = len(server.requests)
        server.always(faults.server_error())
        raised(Exception, lambda: self.score(reranker, self.texts))
        made = len(server.requests) - before
        assert made == 1, f"got {made} requests for a call that fails, expected 1: retries are on"

    def test_keys_are_secret(self, monkeypatch: Any) -> None:
        """A key is never shown, and without one the error says every way to give it."""
        reranker = self.make()
        cls = type(reranker)
        assert not plain_secrets(cls), "annotate keys with pydantic.SecretStr, not str"
        if self.secret_field not in secret_fields(cls):
            skip(f"the reranker has no secret setting {self.secret_field!r}")
        credentials = plugins.credentials_of(self.reranker)
        for name in credentials:
            monkeypatch.delenv(name, raising=False)
        settings = reranker.safe_model_dump()
        settings.pop(self.secret_field, None)
        keyless = cls.create(**settings)
        message = str(raised(MissingCredentialError, lambda: self.score(keyless, self.texts)))
        for part in (f"{self.secret_field}=", "$var:", *credentials):
            assert part in message, f"{part} is not in: {message}"
        secret = cls.create(**{**settings, self.secret_field: _SENTINEL})
        assert _SENTINEL not in f"{secret!r} {secret} {secret.safe_model_dump()}"

    def test_missing_package_gives_the_command(self) -> None:
        """Without a package it calls, a reranker is listed as such and says what to install."""
        spec = self.spec()
        if not spec.sdk:
            skip("the reranker calls no package")
        for sdk in spec.sdk:
            job = functools.partial(_score_without, self.make(), self.reranker, self.query)
            answer = json.loads(in_fresh_process(job, without=[sdk.module]))
            assert answer["state"] == State.NEEDS_SDK, f"without {sdk.module}"
            assert answer["error"] == MissingSdkError.__name__, answer["message"]
            assert (sdk.hint or sdk.requirement) in answer["message"]

    # -- tools ----------------------------------------------------------------------------------

    def spec(self) -> RerankerSpec:
        """Return what the plugin declared, or skip for one that no plugin offers."""
        listed = plugins.catalog().find(RerankerSpec, self.reranker)
        if listed is None or listed.spec is None:
            skip(f"reranker {self.reranker!r} is not offered by an installed plugin")
        return listed.spec

    def score(self, reranker: ModelReranker, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the scores of texts, and see that they are one finite number each."""
        scores = np.asarray(reranker.scores(self.query, list(texts)), np.float64)
        assert scores.shape == (len(texts),), f"got shape {scores.shape} for {len(texts)} texts"
        assert np.isfinite(scores).all(), "got NaN or infinite scores"
        return scores

    def assert_close(self, actual: Any, expected: Any) -> None:
        """Fail where scores differ by more than the tolerance."""
        np.testing.assert_allclose(actual, expected, rtol=0, atol=self.tolerance)


def _rows(texts: Sequence[str | None], measure: str = "_distance") -> pa.Table:
    count = len(texts)
    return pa.table(
        {
            "text": pa.array(texts, pa.string()),
            measure: pa.array(np.linspace(0, 1, count), pa.float32()),
            "_rowid": pa.array(range(count), pa.int64()),
        }
    )


def _imported_by_listing(watched: tuple[str, ...]) -> str:
    """List the rerankers and return which of the modules that imported, as JSON."""
    assert plugins.catalog().of(RerankerSpec), "nothing is listed"
    return json.dumps([name for name in watched if sys.modules.get(name) is not None])


def _score_without(reranker: ModelReranker, name: str, query: str) -> str:
    """Score where a package is missing; return the state and the error, as JSON."""
    listed = plugins.catalog().find(RerankerSpec, name)
    answer = {"state": listed.state if listed else None, "error": None, "message": ""}
    try:
        reranker.scores(query, ["a text"])
    except Exception as exc:
        answer |= {"error": type(exc).__name__, "message": str(exc)}
    return json.dumps(answer)
