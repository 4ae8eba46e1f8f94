"""Environment, profiles, roles, clients and threads."""

import importlib
import json
import pickle
import subprocess
import sys
import threading
import traceback
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs

import pytest

from embow.errors import AuthenticationError, EmbeddingError
from embow_bedrock import BedRockText
from embow_bedrock.client import Route, client_for
from embow_testing import faults

SENTINEL = "sentinel/0123456789+abcdef"
ROLE = "arn:aws:iam::123456789012:role/embedder"


def access_keys(server):
    return [server.protocol.key(request) for request in server.requests]


def test_the_environment_is_read_at_each_call(make, server, monkeypatch):
    """Keys that are renewed take effect without making the function again."""
    function = make()
    for key in ("AKIAFIRST", "AKIASECOND"):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
        function.generate_embeddings(["a"])
    assert access_keys(server) == ["AKIAFIRST", "AKIASECOND"]


def test_a_session_token_is_sent(make, server, monkeypatch):
    """Temporary credentials work."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", "session-1")
    make().generate_embeddings(["a"])
    assert server.requests[0].headers["x-amz-security-token"] == "session-1"


def test_the_region_signs_the_request(make, server):
    """The region of the function counts."""
    make(region="eu-central-1").generate_embeddings(["a"])
    assert "/eu-central-1/bedrock/aws4_request" in server.requests[0].headers["authorization"]


def test_a_profile_is_used(make, server, monkeypatch, tmp_path):
    """A named profile gives its own keys."""
    path = tmp_path / "credentials"
    path.write_text("[team]\naws_access_key_id = AKIATEAM\naws_secret_access_key = s\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    make(profile_name="team").generate_embeddings(["a"])
    assert access_keys(server) == ["AKIATEAM"]


def test_a_missing_profile_is_an_auth_error(make):
    """The message names the profile, and nothing is tried again."""
    with pytest.raises(AuthenticationError, match="nobody") as caught:
        make(profile_name="nobody").compute_source_embeddings_with_retry(["a"])
    assert caught.value.attempts == 1


@pytest.mark.parametrize("role", [None, ROLE])
def test_missing_credentials_are_an_auth_error(make, monkeypatch, role):
    """No keys anywhere means no access, with or without a role."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(AuthenticationError, match="credentials") as caught:
        make(assumed_role=role).compute_source_embeddings_with_retry(["a"])
    assert caught.value.attempts == 1


def test_equal_settings_share_a_client():
    """One client a process for one account."""
    routes = [Route("us-east-1", None, None, "tests", "http://127.0.0.1:9", 1.0) for _ in "ab"]
    one, same = (client_for(route, importlib.import_module) for route in routes)
    assert one is same
    elsewhere = replace(routes[0], region="eu-west-1")
    assert client_for(elsewhere, importlib.import_module) is not one


def test_threads_share_one_client(make, server):
    """Eight threads at once each get their own vectors."""
    function, answers = make(), {}

    def embed(text):
        answers[text] = function.generate_embeddings([text])[0]

    threads = [threading.Thread(target=embed, args=(f"text {i}",)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for text, vector in answers.items():
        assert abs(server.protocol.embed([text], 1536)[0] - vector).max() < 1e-6


def test_a_pickled_function_embeds(make):
    """A function travels to another process."""
    function = make()
    copy = pickle.loads(pickle.dumps(function))
    assert copy == function
    assert copy.generate_embeddings(["a"]).shape == (1, 1536)


def test_the_secret_shows_nowhere(make, server, monkeypatch):
    """Not in text, dumps, records, errors or their tracebacks."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SENTINEL)
    function = make()
    server.always(faults.refuse(faults.Refusal("auth", message=f"signature of {SENTINEL} bad")))
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
    function = make(name="cohere.embed-v4:0", dim=256, assumed_role=ROLE)
    assert BedRockText.create(**function.safe_model_dump()) == function


def test_nothing_of_aws_is_imported_until_the_first_call():
    """Making a function, its length and its settings need no SDK."""
    code = (
        "import sys; from embow.embeddings import get_registry;"
        "f = get_registry().get('bedrock-text').create(); f.ndims(); f.safe_model_dump();"
        "f.classify(ValueError()); assert not {'boto3', 'botocore'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


class SecurityTokens:
    """``AssumeRole`` on loopback: numbered keys that live as long as told."""

    def __init__(self):
        self.asked = []
        self.lifetime = timedelta(hours=1)
        self.refuse = False
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                outer.asked.append({name: values[0] for name, values in parse_qs(body).items()})
                status, answer = outer.answer()
                self.send_response(status)
                self.send_header("content-type", "text/xml")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *args):
                pass

        self.http = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def answer(self):
        if self.refuse:
            text = (
                "<ErrorResponse><Error><Code>AccessDenied</Code>"
                "<Message>not authorized to perform: sts:AssumeRole</Message></Error>"
                "</ErrorResponse>"
            )
            return 403, text.encode()
        until = (datetime.now(UTC) + self.lifetime).strftime("%Y-%m-%dT%H:%M:%SZ")
        text = (
            "<AssumeRoleResponse><AssumeRoleResult><Credentials>"
            f"<AccessKeyId>ASIA{len(self.asked)}</AccessKeyId>"
            "<SecretAccessKey>s</SecretAccessKey><SessionToken>token</SessionToken>"
            f"<Expiration>{until}</Expiration>"
            "</Credentials></AssumeRoleResult></AssumeRoleResponse>"
        )
        return 200, text.encode()


class TestAssumedRole:
    @pytest.fixture
    def tokens(self, monkeypatch):
        running = SecurityTokens()
        thread = threading.Thread(target=running.http.serve_forever, args=(0.02,))
        thread.start()
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", running.url)
        yield running
        running.http.shutdown()
        thread.join()
        running.http.server_close()

    def test_the_role_is_taken_on_once_while_it_lasts(self, make, server, tokens):
        """Role and session name are asked for, and the keys given are used for every call."""
        function = make(assumed_role=ROLE)
        function.generate_embeddings(["a"])
        function.generate_embeddings(["b"])
        (asked,) = tokens.asked
        assert (asked["RoleArn"], asked["RoleSessionName"]) == (ROLE, "embow-embeddings")
        assert access_keys(server) == ["ASIA1", "ASIA1"]
        assert server.requests[0].headers["x-amz-security-token"] == "token"

    def test_keys_are_renewed_before_they_expire(self, make, server, tokens):
        """A long-lived client outlives the keys of its role."""
        tokens.lifetime = timedelta(minutes=1)
        function = make(assumed_role=ROLE)
        function.generate_embeddings(["a"])
        tokens.lifetime = timedelta(hours=1)
        function.generate_embeddings(["b"])
        assert len(set(access_keys(server))) == 2
        assert access_keys(server)[-1] == f"ASIA{len(tokens.asked)}"

    def test_a_refused_role_is_an_auth_error(self, make, tokens):
        """What AWS says is shown, and nothing is tried again."""
        tokens.refuse = True
        with pytest.raises(AuthenticationError, match="AssumeRole") as caught:
            make(assumed_role=ROLE).compute_source_embeddings_with_retry(["a"])
        assert caught.value.attempts == 1

    def test_two_roles_are_never_mixed(self, make, server, tokens):
        """Each role has a client and keys of its own."""
        for role in (ROLE, f"{ROLE}-2", ROLE):
            make(assumed_role=role).generate_embeddings(["a"])
        assert access_keys(server) == ["ASIA1", "ASIA2", "ASIA1"]
