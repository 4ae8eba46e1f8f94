"""The misbehaving loopback server, as plugin authors use it."""

import base64
import http.client
import json
import threading

import numpy as np
import pytest

from embow_testing import faults
from embow_testing.faults import Fault
from embow_testing.server import EmbeddingServer
from embow_testing.vectors import embed_values, text_vector
from openai_protocol import OpenAIProtocol


@pytest.fixture
def server():
    with EmbeddingServer(OpenAIProtocol(dims=8)) as running:
        yield running


def post(server, texts, *, path="/v1/embeddings", timeout=10, headers=None, **extra):
    """Send one request and return ``(status, headers, body)``."""
    port = int(server.url.rpartition(":")[2])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        body = json.dumps({"model": "tiny", "input": texts, **extra})
        connection.request("POST", path, body, headers or {})
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def vectors_of(body):
    return np.array([row["embedding"] for row in json.loads(body)["data"]], dtype=np.float32)


def test_answers_one_vector_an_input_in_order(server):
    """A good answer holds the vector of each text at its place."""
    _, _, body = post(server, ["one", "two", "three"])
    np.testing.assert_allclose(vectors_of(body), embed_values(["one", "two", "three"], 8))


def test_base64_holds_little_endian_float32(server):
    """The base64 transport decodes to the same numbers."""
    _, _, body = post(server, ["one"], encoding_format="base64")
    raw = base64.b64decode(json.loads(body)["data"][0]["embedding"])
    np.testing.assert_array_equal(np.frombuffer(raw, "<f4"), text_vector("one", 8))


def test_vectors_of_different_texts_differ_and_shared_words_bring_near():
    """Test vectors rank a text with the same word above one without."""
    query, near, far = embed_values(["hello", "hello world", "goodbye moon"], 64)
    assert query @ near > query @ far
    assert not np.array_equal(text_vector("a b", 8), text_vector("b a", 8))


def test_records_items_headers_and_status(server):
    """Every request is kept with its inputs, its headers and the status answered."""
    server.script(faults.rate_limited(3))
    post(server, ["x", "y"], headers={"Authorization": "Bearer k"})
    (request,) = server.requests
    assert request.items == ("x", "y")
    assert request.headers["authorization"] == "Bearer k"
    assert (request.status, request.fault) == (429, "rate_limited")


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (faults.unauthorized(), 401),
        (faults.forbidden(), 403),
        (faults.quota_exceeded(), 429),
        (faults.rate_limited(), 429),
        (faults.too_large(), 413),
        (faults.too_long(), 400),
        (faults.bad_input(), 400),
        (faults.bad_request(), 400),
        (faults.not_found(), 404),
        (faults.server_error(), 500),
        (faults.server_error(503), 503),
    ],
    ids=lambda value: value.name if isinstance(value, Fault) else str(value),
)
def test_refusals_carry_their_status(server, fault, status):
    """Each error fault is answered with the vendor's status."""
    server.script(fault)
    assert post(server, ["x"])[0] == status


def test_retry_after_is_a_header(server):
    """The wait asked for is sent as ``Retry-After``."""
    server.script(faults.rate_limited(2))
    assert post(server, ["x"])[1]["retry-after"] == "2"


def test_script_is_played_once_in_order(server):
    """Scripted steps are used up; the server answers well afterwards."""
    server.script(faults.server_error(), None, faults.unauthorized())
    assert [post(server, ["x"])[0] for _ in range(4)] == [500, 200, 401, 200]


def test_poison_refuses_only_requests_that_hold_it(server):
    """A poisoned input spoils its own request and no other."""
    server.poison("bad", tell_index=True)
    assert post(server, ["fine"])[0] == 200
    status, _, body = post(server, ["fine", "so bad"])
    assert (status, json.loads(body)["error"]["param"]) == (400, "input[1]")


@pytest.mark.parametrize(
    ("fault", "holds"),
    [
        (faults.short_answer(), lambda v: v.shape == (1, 8)),
        (faults.not_a_number(1), lambda v: np.isnan(v[1]).all() and np.isfinite(v[0]).all()),
        (faults.zeros(), lambda v: not v[0].any() and v[1].any()),
        (faults.wrong_dimension(3), lambda v: v.shape == (2, 3)),
    ],
    ids=["short_answer", "not_a_number", "zeros", "wrong_dimension"],
)
def test_damaged_vectors(server, fault, holds):
    """Each vector fault damages what it says and nothing else."""
    server.script(fault)
    assert holds(vectors_of(post(server, ["a", "b"])[2]))


def test_cut_connection_ends_in_the_middle_of_the_body(server):
    """A cut answer is shorter than it announced."""
    server.script(faults.cut_connection())
    with pytest.raises(http.client.IncompleteRead):
        post(server, ["x"])


def test_broken_json_is_a_200_that_does_not_parse(server):
    """Broken JSON comes with a good status."""
    server.script(faults.broken_json())
    status, _, body = post(server, ["x"])
    assert status == 200
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)


def test_held_answers_wait_for_release_and_show_concurrency(server):
    """Held requests overlap until the test lets them go."""
    server.always(faults.hang())
    threads = [threading.Thread(target=post, args=(server, [str(i)])) for i in range(4)]
    for thread in threads:
        thread.start()
    server.wait_for(4)
    assert all(request.status is None for request in server.requests)
    server.release()
    for thread in threads:
        thread.join()
    assert server.peak_concurrency == 4
    assert [request.status for request in server.requests] == [200] * 4


def test_a_held_answer_times_out_at_the_client(server):
    """A client with a deadline gives up on a held answer."""
    server.script(faults.hang())
    with pytest.raises(TimeoutError):
        post(server, ["x"], timeout=0.05)


def test_wait_for_says_how_many_arrived(server):
    """Waiting for requests that never come ends in an error that counts them."""
    with pytest.raises(TimeoutError, match="0 of 1"):
        server.wait_for(1, timeout=0.01)


def test_times_are_read_from_the_given_clock():
    """Recorded times follow an injected clock."""
    ticks = iter([10.0, 20.0])
    with EmbeddingServer(OpenAIProtocol(), clock=lambda: next(ticks)) as server:
        post(server, ["x"])
        post(server, ["x"])
        assert [request.time for request in server.requests] == [10.0, 20.0]


def test_only_known_keys_are_accepted():
    """With ``keys`` given, any other key is refused."""
    with EmbeddingServer(OpenAIProtocol(keys=["right"])) as server:
        assert post(server, ["x"], headers={"Authorization": "Bearer wrong"})[0] == 401
        assert post(server, ["x"], headers={"Authorization": "Bearer right"})[0] == 200


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["x"] * 2049, "1 to 2048"),
        ([""], "invalid"),
        (["x" * 40_000], "maximum context length"),
        (["x" * 30_000] * 41, "max 300000 tokens"),
    ],
    ids=["items", "empty", "one too long", "sum too large"],
)
def test_openai_limits_are_enforced(server, texts, said):
    """The server refuses what OpenAI refuses."""
    status, _, body = post(server, texts)
    assert status == 400
    assert said in json.loads(body)["error"]["message"]


def test_unknown_paths_are_not_found(server):
    """A request to another endpoint is refused."""
    assert post(server, ["x"], path="/v1/chat")[0] == 404


def test_forget_starts_afresh(server):
    """Record, script and rules are dropped."""
    server.always(faults.server_error())
    post(server, ["x"])
    server.forget()
    assert server.requests == []
    assert post(server, ["x"])[0] == 200


def test_a_failing_protocol_is_not_hidden():
    """A bug in a protocol surfaces when the server is left."""
    server = EmbeddingServer(OpenAIProtocol())
    server.__enter__()
    post(server, ["x"], dimensions="many")
    with pytest.raises(RuntimeError, match="protocol failed"):
        server.__exit__(None, None, None)
