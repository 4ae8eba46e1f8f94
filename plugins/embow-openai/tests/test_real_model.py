"""Real weights behind OpenAI's protocol.

The first server runs the model of ``embow-onnx`` and needs that plugin. Another one, such as
infinity, vLLM or text-embeddings-inference, is tested where EMBOW_OPENAI_SERVER holds its address
(``http://127.0.0.1:7997/v1``) and EMBOW_OPENAI_MODEL the name of its model.
"""

import os
import threading

import numpy as np
import pytest

import embow
from embow.embeddings import get_registry
from embow.errors import ProviderNotInstalledError
from embow.pydantic import LanceModel, Vector
from embow_testing.server import EmbeddingServer
from openai_protocol import OpenAIProtocol

FACTS = [
    "Run a command in a shell and return what it printed.",
    "Open a file and read its lines.",
    "Wait for a thread to finish.",
    "Parse a date written in ISO format.",
    "Send an email with an attachment.",
]
QUESTIONS = {
    "start a subprocess and capture its output": FACTS[0],
    "join a worker": FACTS[2],
    "turn '2026-01-31' into a day": FACTS[3],
}


@pytest.fixture(scope="module")
def model_server():
    try:
        model = get_registry().get("onnx").create()
    except ProviderNotInstalledError:
        pytest.skip("embow-onnx is not installed")
    pytest.importorskip("onnxruntime")
    lock = threading.Lock()

    def embed(texts, ndims):
        with lock:
            return model.generate_embeddings([str(text) for text in texts])

    with EmbeddingServer(OpenAIProtocol(dims=model.ndims(), embed=embed)) as running:
        yield f"{running.url}/v1", "all-MiniLM-L6-v2"


@pytest.fixture(params=["onnx", "external"])
def remote(request):
    """Make a function that calls a server with a real model."""
    if request.param == "onnx":
        url, name = request.getfixturevalue("model_server")
    else:
        url, name = os.environ.get("EMBOW_OPENAI_SERVER"), os.environ.get("EMBOW_OPENAI_MODEL")
        if not (url and name):
            pytest.skip("EMBOW_OPENAI_SERVER and EMBOW_OPENAI_MODEL are not set")
    return get_registry().get("openai").create(name=name, base_url=url)


def test_questions_find_their_answers(remote, tmp_path):
    """Meaning survives the wire: each question finds the sentence that answers it."""

    class Fact(LanceModel):
        text: str = remote.SourceField()
        vector: Vector(remote.ndims()) = remote.VectorField()

    table = embow.connect(tmp_path).create_table("facts", schema=Fact)
    table.add([{"text": fact} for fact in FACTS])
    for question, answer in QUESTIONS.items():
        assert table.search(question).limit(1).to_list()[0]["text"] == answer


def test_a_text_has_one_vector_alone_or_among_others(remote):
    """The place of a text in a request does not change its vector."""
    together = remote.generate_embeddings(FACTS)
    alone = np.concatenate([remote.generate_embeddings([fact]) for fact in FACTS])
    np.testing.assert_allclose(together, alone, atol=1e-4)


def test_vectors_are_those_of_the_model(model_server):
    """What arrives is bit for bit what the model made."""
    url, name = model_server
    remote = get_registry().get("openai").create(name=name, base_url=url)
    here = get_registry().get("onnx").create().generate_embeddings(FACTS)
    np.testing.assert_allclose(remote.generate_embeddings(FACTS), here, atol=1e-6)
