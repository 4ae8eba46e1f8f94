"""Keys, clients, threads and Azure."""

import importlib
import json
import pickle
import subprocess
import sys
import threading
import traceback

import pytest

from embow.embeddings import get_registry
from embow.embeddings.remote import client_once
from embow.errors import ConfigurationError, EmbeddingError, MissingCredentialError
from embow_openai import OpenAIEmbeddings
from embow_openai.client import client_for, connection_of
from embow_testing import faults

SENTINEL = "sk-sentinel-0123456789"


def client_of(function):
    return client_for(connection_of(function), importlib.import_module)


def key_of(request):
    return request.headers["authorization"].removeprefix("Bearer ")


def test_the_key_comes_from_the_argument_before_the_environment(make, server, monkeypatch):
    """An explicit key wins."""
    monkeypatch.setenv("OPENAI_API_KEY", "from-environment")
    make(api_key="from-argument").generate_embeddings(["a"])
    assert key_of(server.requests[0]) == "from-argument"


def test_the_key_is_read_from_the_environment_at_each_call(make, server, monkeypatch):
    """A key that is renewed takes effect without making the function again."""
    function = make(api_key=None)
    for key in ("first", "second"):
        monkeypatch.setenv("OPENAI_API_KEY", key)
        function.generate_embeddings(["a"])
    assert [key_of(request) for request in server.requests] == ["first", "second"]


def test_a_variable_is_followed_at_each_call(make, server):
    """``$var:`` stays a reference until it is needed."""
    function = make(api_key="$var:openai_test_key")
    for key in ("first", "second"):
        get_registry().set_var("openai_test_key", key)
        function.generate_embeddings(["a"])
    assert [key_of(request) for request in server.requests] == ["first", "second"]


def test_a_server_of_ones_own_needs_no_key(make, server):
    """Without a key, an OpenAI-compatible server is called all the same."""
    make(api_key=None).generate_embeddings(["a"])
    assert server.requests[0].status == 200


def test_openai_itself_needs_a_key():
    """The error says every way to give one."""
    with pytest.raises(MissingCredentialError, match="OPENAI_API_KEY"):
        OpenAIEmbeddings.create().generate_embeddings(["a"])


def test_equal_settings_share_a_client_and_other_keys_do_not(make):
    """Several accounts in one process are never mixed."""
    one, same, other = make(api_key="k1"), make(api_key="k1"), make(api_key="k2")
    assert client_of(one) is client_of(same)
    assert client_of(one) is not client_of(other)


def test_headers_are_part_of_what_tells_clients_apart(make, server):
    """Each function sends its own headers."""
    for value in ("one", "two"):
        make(default_headers={"x-team": value}).generate_embeddings(["a"])
    assert [request.headers["x-team"] for request in server.requests] == ["one", "two"]


def test_organization_is_sent(make, server):
    """The organization reaches the server."""
    make(organization="org-1").generate_embeddings(["a"])
    assert server.requests[0].headers["openai-organization"] == "org-1"


def test_threads_share_one_client_and_keep_their_answers(make, server):
    """Eight threads at once each get their own vectors."""
    function = make()
    server.always(faults.hang())
    answers = {}

    def embed(text):
        answers[text] = function.generate_embeddings([text])[0]

    threads = [threading.Thread(target=embed, args=(f"text {i}",)) for i in range(8)]
    for thread in threads:
        thread.start()
    server.wait_for(8)
    server.release()
    for thread in threads:
        thread.join()
    assert server.peak_concurrency == 8
    for text, vector in answers.items():
        assert (server.protocol.embed([text], 8)[0] == vector).all()


def test_a_pickled_function_embeds(make):
    """A function travels to another process, and its key with it, as pickle must."""
    function = make()
    copy = pickle.loads(pickle.dumps(function))
    assert copy == function
    assert copy.generate_embeddings(["a"]).shape == (1, 8)


def test_the_key_shows_nowhere(make, server):
    """Not in text, dumps, records, errors or their tracebacks."""
    header = "hd-sentinel-9876543210"
    function = make(api_key=SENTINEL, default_headers={"authorization-2": header})
    server.always(faults.unauthorized())
    with pytest.raises(EmbeddingError) as caught:
        function.compute_source_embeddings_with_retry(["a"])
    shown = [
        repr(function),
        str(function),
        function.model_dump_json(),
        json.dumps(function.safe_model_dump()),
        json.dumps(function.identity()),
        function.account(),
        json.dumps(OpenAIEmbeddings.create(dim=4, name="t").to_binding("a", "b")),
        "".join(traceback.format_exception(caught.value)),
    ]
    for text in shown:
        assert SENTINEL not in text
        assert header not in text


def test_the_log_shows_no_password_and_no_query_of_an_address(make, server, caplog):
    """The HTTP client logs each address it calls, at level INFO."""
    host = server.url.removeprefix("http://")
    function = make(base_url=f"http://user:pass-{SENTINEL}@{host}/v1?token=query-{SENTINEL}")
    with caplog.at_level("INFO"):
        function.generate_embeddings(["a"])
    assert "/v1/embeddings" in caplog.text
    assert SENTINEL not in caplog.text
    assert SENTINEL in server.requests[0].path


def test_a_message_that_repeats_the_key_is_cleaned(make, server):
    """What the vendor says is shown without the key it may quote."""
    server.always(
        faults.refuse(faults.Refusal("auth", message=f"Incorrect API key provided: {SENTINEL}"))
    )
    with pytest.raises(EmbeddingError, match="Incorrect API key provided") as caught:
        make(api_key=SENTINEL).compute_source_embeddings_with_retry(["a"])
    assert SENTINEL not in "".join(traceback.format_exception(caught.value))


def test_settings_make_an_equal_function(make):
    """What a table keeps makes the function again."""
    function = make(api_key="$var:openai_test_key", dim=4, timeout=3.0)
    assert OpenAIEmbeddings.create(**function.safe_model_dump()) == function


def test_nothing_of_openai_is_imported_until_the_first_call():
    """Making a function, its length and its settings need no SDK."""
    code = (
        "import sys; from embow.embeddings import get_registry;"
        "f = get_registry().get('openai').create(api_key='k'); f.ndims(); f.safe_model_dump();"
        "f.classify(ValueError()); assert not {'openai', 'tiktoken', 'httpx'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


class TestAzure:
    @pytest.fixture
    def azure(self, make, server):
        def create(**settings):
            defaults = {"base_url": None, "use_azure": True, "azure_endpoint": server.url}
            return make(**{**defaults, "api_version": "2024-10-21", **settings})

        return create

    def test_the_deployment_and_the_version_are_in_the_path(self, azure, server):
        """Azure is asked at the path of the deployment, with its own key header."""
        vectors = azure(azure_deployment="mine").generate_embeddings(["a"])
        request = server.requests[0]
        assert request.path == "/openai/deployments/mine/embeddings?api-version=2024-10-21"
        assert request.headers["api-key"] == "test"
        assert vectors.shape == (1, 8)

    def test_the_deployment_is_the_model_where_none_is_named(self, azure, server):
        """The model's name stands in for the deployment's."""
        azure(name="text-embedding-3-small", dim=8).generate_embeddings(["a"])
        assert "/deployments/text-embedding-3-small/" in server.requests[0].path

    def test_two_deployments_do_not_share_a_path(self, azure, server):
        """One client serves several deployments."""
        for name in ("one", "two"):
            azure(azure_deployment=name).generate_embeddings(["a"])
        paths = [request.path.split("/")[3] for request in server.requests]
        assert paths == ["one", "two"]

    def test_endpoint_version_and_key_come_from_the_environment(self, azure, server, monkeypatch):
        """Azure's own variables are read."""
        monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", server.url)
        monkeypatch.setenv("OPENAI_API_VERSION", "2024-06-01")
        monkeypatch.setenv("AZURE_OPENAI_API_KEY", "from-environment")
        azure(azure_endpoint=None, api_version=None, api_key=None).generate_embeddings(["a"])
        assert server.requests[0].headers["api-key"] == "from-environment"
        assert server.requests[0].path.endswith("2024-06-01")

    def test_an_entra_token_stands_in_for_a_key(self, azure, server):
        """A token is sent as bearer."""
        azure(api_key=None, azure_ad_token="tok").generate_embeddings(["a"])
        assert server.requests[0].headers["authorization"] == "Bearer tok"

    @pytest.mark.parametrize("field", ["azure_endpoint", "api_version"])
    def test_what_is_missing_is_named(self, azure, field):
        """The error names the field and the variable."""
        with pytest.raises(ConfigurationError, match=f"needs {field}"):
            azure(**{field: None}).generate_embeddings(["a"])

    def test_a_missing_key_is_named(self, azure):
        """The error names Azure's variable, not OpenAI's."""
        with pytest.raises(MissingCredentialError, match="AZURE_OPENAI_API_KEY"):
            azure(api_key=None).generate_embeddings(["a"])


def test_client_keys_hold_no_secret(monkeypatch, make):
    """What clients are found by keeps a digest of the key only."""
    seen = []
    monkeypatch.setattr(
        "embow_openai.client.client_once",
        lambda key, *rest: seen.append(key) or client_once(key, *rest),
    )
    client_of(make(api_key=SENTINEL))
    assert seen
    assert SENTINEL not in repr(seen)


def test_two_servers_have_limits_of_their_own() -> None:
    """What one server asks for holds up no calls of another, whose key and model are the same."""
    make = get_registry().get("openai").create
    urls = ["http://one.test/v1", "http://two.test/v1", None]
    assert len({make(name="m", dim=2, base_url=url, api_key="k").account() for url in urls}) == 3
