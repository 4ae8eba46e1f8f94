"""Keys, clients and threads."""

import json
import pickle
import subprocess
import sys
import threading
import traceback

import pytest

from embow.embeddings import get_registry
from embow.errors import EmbeddingError, MissingCredentialError
from embow_cohere import CohereEmbeddingFunction
from embow_testing import faults

SENTINEL = "co-sentinel-0123456789"


def keys_of(server):
    return [r.headers["authorization"].removeprefix("Bearer ") for r in server.requests]


def test_keys_come_from_argument_variable_and_environment(make, server, monkeypatch):
    """Each way to give a key works, the argument first."""
    get_registry().set_var("cohere_test_key", "from-variable")
    monkeypatch.setenv("CO_API_KEY", "from-second")
    make(api_key=None).generate_embeddings(["a"])
    monkeypatch.setenv("COHERE_API_KEY", "from-first")
    make(api_key=None).generate_embeddings(["a"])
    make(api_key="$var:cohere_test_key").generate_embeddings(["a"])
    make(api_key="from-argument").generate_embeddings(["a"])
    assert keys_of(server) == ["from-second", "from-first", "from-variable", "from-argument"]


def test_a_missing_key_is_named(make):
    """The error says every way to give one."""
    with pytest.raises(MissingCredentialError, match="COHERE_API_KEY"):
        make(api_key=None).generate_embeddings(["a"])


def test_several_accounts_are_never_mixed(make, server):
    """Functions with two keys send two keys, in turn and in threads."""
    functions = [make(api_key=key) for key in ("k1", "k2")] * 4
    threads = [threading.Thread(target=f.generate_embeddings, args=(["a"],)) for f in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(keys_of(server)) == ["k1"] * 4 + ["k2"] * 4


def test_equal_settings_share_a_client(make):
    """One client a process for one account."""
    assert make()._client() is make()._client()
    assert make()._client() is not make(api_key="other")._client()


def test_a_pickled_function_embeds(make):
    """A function travels to another process."""
    function = make()
    copy = pickle.loads(pickle.dumps(function))
    assert copy == function
    assert copy.generate_embeddings(["a"]).shape == (1, 1024)


def test_the_key_shows_nowhere(make, server):
    """Not in text, dumps, records, errors or their tracebacks."""
    function = make(api_key=SENTINEL)
    server.always(faults.refuse(faults.Refusal("auth", message=f"invalid api token: {SENTINEL}")))
    with pytest.raises(EmbeddingError) as caught:
        function.compute_source_embeddings_with_retry(["a"])
    shown = [
        repr(function),
        function.model_dump_json(),
        json.dumps(function.to_binding("a", "b")),
        function.account(),
        str(caught.value),
        "".join(traceback.format_exception(caught.value)),
    ]
    for text in shown:
        assert SENTINEL not in text


def test_settings_make_an_equal_function(make):
    """What a table keeps makes the function again, ``truncate`` included."""
    function = make(api_key="$var:cohere_test_key", truncate="START")
    copy = CohereEmbeddingFunction.create(**function.safe_model_dump())
    assert copy == function
    assert copy.fingerprint() == function.fingerprint()


def test_nothing_of_cohere_is_imported_until_the_first_call():
    """Making a function, its length and its settings need no SDK."""
    code = (
        "import sys; from embow.embeddings import get_registry;"
        "f = get_registry().get('cohere').create(api_key='k'); f.ndims(); f.safe_model_dump();"
        "f.classify(ValueError()); assert not {'cohere', 'httpx', 'PIL'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
