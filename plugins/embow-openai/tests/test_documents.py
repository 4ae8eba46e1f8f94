"""The documents' own example, with only the import changed, and what a table does with it."""

import subprocess
import sys

import pytest

import embow
from embow.embeddings import EmbeddingFunctionRegistry, get_registry
from embow.errors import AuthenticationError
from embow.pydantic import LanceModel, Vector
from embow_testing import faults


@pytest.fixture
def account(server, monkeypatch):
    """Lead the vendor's own variables to the server, so that the example stays as printed."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-test")
    monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
    return server


def words_of(func):
    class Words(LanceModel):
        text: str = func.SourceField()
        vector: Vector(func.ndims()) = func.VectorField()

    return Words


def test_the_example_of_the_documents(account, tmp_path, capsys):
    """Declare, add, search by text, read back as an object."""
    db = embow.connect(tmp_path)
    registry = EmbeddingFunctionRegistry.get_instance()
    func = registry.get("openai").create()

    class Words(LanceModel):
        text: str = func.SourceField()
        vector: Vector(func.ndims()) = func.VectorField()

    table = db.create_table("words", schema=Words)
    table.add([{"text": "hello world"}, {"text": "goodbye world"}])

    query = "hello there"
    actual = table.search(query).limit(1).to_pydantic(Words)[0]
    print(actual.text)
    assert capsys.readouterr().out == "hello world\n"
    assert len(actual.vector) == 1536


def test_another_process_embeds_by_itself(account, tmp_path):
    """A table opened elsewhere knows its function; a stored text rides in its first request."""
    func = get_registry().get("openai").create(name="tiny", base_url=f"{account.url}/v1")
    embow.connect(tmp_path).create_table("words", schema=words_of(func)).add([{"text": "one two"}])
    account.forget()
    code = (
        f"import embow; table = embow.connect({str(tmp_path)!r}).open_table('words');"
        "table.add([{'text': 'three'}]);"
        "print(table.search('two').limit(1).to_list()[0]['text'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "one two\n"
    assert [list(request.items) for request in account.requests] == [["three", "one two"], ["two"]]


def test_a_refused_key_costs_one_request(account, tmp_path):
    """The error keeps its class on the way through a table, and nothing is stored."""
    func = get_registry().get("openai").create(name="tiny", dim=8)
    table = embow.connect(tmp_path).create_table("words", schema=words_of(func))
    account.always(faults.unauthorized())
    with pytest.raises(AuthenticationError):
        table.add([{"text": f"text {i}"} for i in range(100)])
    assert len(account.requests) == 1
    assert table.count_rows() == 0


def test_many_rows_are_packed(account, tmp_path):
    """Rows go in requests the server accepts, each text once."""
    func = get_registry().get("openai").create(name="tiny", dim=8)
    table = embow.connect(tmp_path).create_table("words", schema=words_of(func))
    report = table.add([{"text": f"text {i % 3000}"} for i in range(4000)])
    assert table.count_rows() == 4000
    sent = list(account.items)
    assert sorted(sent) == sorted(f"text {i}" for i in range(3000))
    assert {request.status for request in account.requests} == {200}
    assert report.tokens == sum(len(item) + 3 >> 2 for item in account.items)


def test_a_poisoned_row_is_found(account, tmp_path):
    """One bad text among many is reported; the others are stored."""
    func = get_registry().get("openai").create(name="tiny", dim=8)
    table = embow.connect(tmp_path).create_table("words", schema=words_of(func))
    account.poison("text 77")
    rows = [{"text": f"text {i:03}"} for i in range(100)] + [{"text": "text 77"}]
    report = table.add(rows, on_error="skip")
    assert [failed.row for failed in report.failed] == [100]
    assert table.count_rows() == 100
