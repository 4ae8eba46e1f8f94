"""Keys, clients, threads and Vertex AI."""

import json
import pickle
import subprocess
import sys
import threading
import traceback
from base64 import urlsafe_b64decode
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest

from embow.embeddings import get_registry
from embow.embeddings.types import CallRecord, set_current_call
from embow.errors import EmbeddingError, MissingCredentialError
from embow_gemini import GeminiText
from embow_testing import faults
from embow_testing.vectors import embed_values

SENTINEL = "AIza-sentinel-0123456789"


def keys_of(server):
    return [request.headers["x-goog-api-key"] for request in server.requests]


def test_keys_come_from_argument_variable_and_environment(make, server, monkeypatch):
    """Each way to give a key works, the argument first."""
    get_registry().set_var("gemini_test_key", "from-variable")
    monkeypatch.setenv("GEMINI_API_KEY", "from-second")
    make(api_key=None).generate_embeddings(["a"])
    monkeypatch.setenv("GOOGLE_API_KEY", "from-first")
    make(api_key=None).generate_embeddings(["a"])
    make(api_key="$var:gemini_test_key").generate_embeddings(["a"])
    make(api_key="from-argument").generate_embeddings(["a"])
    assert keys_of(server) == ["from-second", "from-first", "from-variable", "from-argument"]


def test_a_missing_key_is_named(make):
    """The error says every way to give one."""
    with pytest.raises(MissingCredentialError, match="GOOGLE_API_KEY"):
        make(api_key=None).generate_embeddings(["a"])


def test_several_accounts_are_never_mixed(make, server):
    """Functions with two keys send two keys, from threads at the same time."""
    functions = [make(name="small", api_key=key) for key in ("k1", "k2")] * 4
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
    function = make(name="small")
    copy = pickle.loads(pickle.dumps(function))
    assert copy == function
    assert copy.generate_embeddings(["a"]).shape == (1, 8)


def test_the_key_shows_nowhere(make, server):
    """Not in text, dumps, records, errors or their tracebacks."""
    function = make(api_key=SENTINEL)
    server.always(faults.refuse(faults.Refusal("auth", message=f"API key {SENTINEL} not valid")))
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
    """What a table keeps makes the function again."""
    function = make(api_key="$var:gemini_test_key", dim=768, source_task_type="clusering")
    assert GeminiText.create(**function.safe_model_dump()) == function


def test_nothing_of_google_is_imported_until_the_first_call():
    """Making a function, its length and its settings need no SDK."""
    code = (
        "import sys; from embow.embeddings import get_registry;"
        "f = get_registry().get('gemini-text').create(api_key='k'); f.ndims();"
        "f.safe_model_dump(); f.classify(ValueError());"
        "assert not {'google.genai', 'google.auth', 'httpx'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


class TestVertex:
    """Vertex AI with a service account whose token comes from a server on loopback."""

    @pytest.fixture
    def tokens(self):
        """Hand out one access token, and keep the assertions it was asked with."""
        asked = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                asked.append(self.rfile.read(int(self.headers["content-length"])).decode())
                body = json.dumps({"access_token": "vertex-token", "expires_in": 3600}).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/token", asked
        server.shutdown()
        thread.join()
        server.server_close()

    @pytest.fixture
    def vertex(self, make, tokens, tmp_path, monkeypatch):
        rsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.rsa")
        from cryptography.hazmat.primitives import serialization

        private = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        account = {
            "type": "service_account",
            "project_id": "p1",
            "private_key_id": "1",
            "private_key": private.decode(),
            "client_email": "embow@p1.iam.gserviceaccount.com",
            "token_uri": tokens[0],
        }
        path = tmp_path / "account.json"
        path.write_text(json.dumps(account))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))

        def create(**settings):
            return make(
                **{"api_key": None, "project": "p1", "location": "europe-west4", **settings}
            )

        return create

    def test_the_service_account_is_used(self, vertex, server, tokens):
        """The request carries the token of the account and names project and location."""
        vertex(name="text-embedding-005").generate_embeddings(["a"])
        request = server.requests[0]
        assert request.headers["authorization"] == "Bearer vertex-token"
        assert "/projects/p1/locations/europe-west4/" in request.path
        claims = tokens[1][0].partition("assertion=")[2].split(".")[1]
        assert "embow@p1" in urlsafe_b64decode(claims + "==").decode()

    def test_texts_keep_their_order_and_tokens_are_counted(self, vertex, server):
        """Vertex AI takes several texts of the older models, and reports tokens."""
        record, texts = CallRecord(), ["one two", "three", "four"]
        set_current_call(record)
        try:
            vectors = vertex(name="text-embedding-005").generate_embeddings(texts)
        finally:
            set_current_call(None)
        np.testing.assert_allclose(vectors, embed_values(texts, 768), atol=1e-6)
        assert (record.tokens, record.requests) == (2 + 2 + 1, 1)

    def test_gemini_models_take_one_text_a_request(self, vertex, server):
        """The limit of Vertex AI for the current model is kept."""
        texts = ["one", "two", "three"]
        vectors = vertex(dim=16).compute_source_embeddings(texts)
        np.testing.assert_allclose(vectors, embed_values(texts, 16), atol=1e-6)
        assert [request.items for request in server.requests] == [("one",), ("two",), ("three",)]

    def test_task_type_and_length_reach_vertex(self, vertex, server):
        """Both methods of Vertex AI are told."""
        for name in ("text-embedding-005", "gemini-embedding-001"):
            vertex(name=name, dim=16).compute_query_embeddings("a")
        for request in server.requests:
            assert "RETRIEVAL_QUERY" in json.dumps(request.payload)
            assert '"outputDimensionality": 16' in json.dumps(request.payload)

    def test_the_environment_chooses_vertex(self, vertex, server, monkeypatch):
        """Google's own variables are followed where nothing is given."""
        monkeypatch.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
        monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p2")
        monkeypatch.setenv("GOOGLE_CLOUD_LOCATION", "us-central1")
        vertex(project=None, location=None).generate_embeddings(["a"])
        assert "/projects/p2/locations/us-central1/" in server.requests[0].path

    def test_missing_credentials_are_an_auth_error(self, vertex, monkeypatch, tmp_path):
        """No account file means no access, and is not tried again."""
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
        function = vertex()
        with pytest.raises(EmbeddingError) as caught:
            function.compute_source_embeddings_with_retry(["a"])
        assert type(caught.value).__name__ == "AuthenticationError"
        assert caught.value.attempts == 1
