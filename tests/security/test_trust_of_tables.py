"""Folders of databases from elsewhere, end to end: one's own works, a stranger's asks first."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import embow
from embow.errors import UntrustedError
from embow_testing.server import EmbeddingServer
from hostile import watching
from openai_protocol import OpenAIProtocol

WORDS = ["one fig", "two plums", "three pears"]

MAKE = """
import sys, embow
folder, url, words = sys.argv[1], sys.argv[2], sys.argv[3].split(",")
function = embow.get_registry().get("openai").create(
    name="tiny", dim=8, base_url=url, api_key="$var:OPENAI_API_KEY"
)
class Words(embow.Model):
    text: str = function.SourceField()
    vector: embow.Vector(8) = function.VectorField()
with embow.connect(folder) as db:
    db.create_table("words", [{"text": word} for word in words], schema=Words)
"""

SEARCH = """
import sys, embow
with embow.connect(sys.argv[1]) as db:
    table = db.open_table("words")
    table.add([{"text": "four kiwis"}])
    print(table.search("two plums").limit(1).to_list()[0]["text"])
"""

Run = Callable[..., str]


@pytest.fixture
def server() -> Iterator[EmbeddingServer]:
    """Serve vectors of 8 dimensions, and remember who asked for what."""
    with EmbeddingServer(OpenAIProtocol(dims=8)) as running:
        yield running


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a program in a process of its own, under this user's settings."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-user")

    def run_program(program: str, *arguments: str) -> str:
        command = [sys.executable, "-W", "error", "-c", program, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    return run_program


@pytest.fixture
def made(tmp_path: Path, run: Run, server: EmbeddingServer) -> Path:
    """Return a database another process made, whose function calls the server."""
    run(MAKE, str(tmp_path / "db"), f"{server.url}/v1", ",".join(WORDS))
    server.forget()
    return tmp_path / "db"


@pytest.fixture
def strange(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the database as it comes to another user."""
    monkeypatch.setenv("EMBOW_CONFIG_DIR", str(tmp_path / "another-user"))
    return made


def test_own_table_works_in_the_next_process(made: Path, run: Run, server: EmbeddingServer) -> None:
    """What one process of the user set up, the next one uses, without a word."""
    assert run(SEARCH, str(made)) == "two plums"
    assert [item for request in server.requests for item in request.items] == [
        "four kiwis",
        "one fig",  # a stored one rides along, to see whether the model is still the same
        "two plums",
    ]


def test_strangers_table_sends_nothing(
    strange: Path, server: EmbeddingServer, tmp_path: Path
) -> None:
    """Connecting, opening and searching by text reach no server, and say what was asked for."""
    with embow.connect(strange) as db:
        table = db.open_table("words")
        with watching(tmp_path / "nothing") as watch, pytest.raises(UntrustedError) as caught:
            table.search("two plums").limit(1).to_list()
        with pytest.raises(UntrustedError):
            table.add([{"text": "mine"}])
        assert table.count_rows() == len(WORDS)
    assert f'base_url="{server.url}/v1"' in str(caught.value)
    assert [event for event, _ in watch.crimes if event.startswith("socket.")] == []
    assert server.requests == []


def test_strangers_table_can_be_read(strange: Path, server: EmbeddingServer) -> None:
    """Scanning, counting, filtering, and searching by vector need no function."""
    with embow.connect(strange) as db:
        table = db.open_table("words")
        rows = table.to_arrow().to_pylist()
        assert [row["text"] for row in rows] == WORDS
        (found,) = table.search(rows[1]["vector"]).limit(1).to_list()
        assert found["text"] == WORDS[1]
        assert table.count_rows("text = 'one fig'") == 1
        table.delete("text = 'one fig'")
        assert table.count_rows() == len(WORDS) - 1
    assert server.requests == []


@pytest.mark.parametrize("whole", [True, False])
def test_strangers_table_works_where_it_is_allowed(
    strange: Path, server: EmbeddingServer, whole: bool
) -> None:
    """With the address in ``trust``, or all of it, the function is used."""
    with embow.connect(strange, trust=True if whole else [server.url]) as db:
        (found,) = db.open_table("words").search("two plums").limit(1).to_list()
    assert found["text"] == "two plums"
    assert len(server.requests) == 1


def test_trust_is_one_connections(strange: Path, server: EmbeddingServer) -> None:
    """Writing through a trusting connection makes the table nobody's own."""
    with embow.connect(strange, trust=True) as db:
        db.open_table("words").add([{"text": "mine"}])
    server.forget()
    with embow.connect(strange) as db, pytest.raises(UntrustedError):
        db.open_table("words").search("mine").to_list()
    assert server.requests == []


def test_other_address_allows_nothing(strange: Path, server: EmbeddingServer) -> None:
    """What is listed must be what is asked for."""
    with (
        embow.connect(strange, trust=[f"{server.url}0", "http://127.0.0.1"]) as db,
        pytest.raises(UntrustedError),
    ):
        db.open_table("words").search("two plums").to_list()
    assert server.requests == []


def test_function_made_in_the_program_is_used(
    strange: Path, server: EmbeddingServer, run: Run
) -> None:
    """Making the same table's function in one's own program says what one wants."""
    function = (
        embow.get_registry()
        .get("openai")
        .create(name="tiny", dim=8, base_url=f"{server.url}/v1", api_key="$var:OPENAI_API_KEY")
    )
    function.to_binding("text", "vector")
    with embow.connect(strange) as db:
        (found,) = db.open_table("words").search("two plums").limit(1).to_list()
    assert found["text"] == "two plums"


def test_changed_record_is_not_believed(made: Path, server: EmbeddingServer, run: Run) -> None:
    """A signature covers the address: with another one in the record it is a stranger's."""
    url = json.dumps(f"{server.url}/v1").encode()[1:-1]
    other = url[:-2] + b"v2"
    for path in made.rglob("*"):
        if path.is_file() and url in (content := path.read_bytes()):
            path.write_bytes(content.replace(url, other))
    with pytest.raises(subprocess.CalledProcessError) as caught:
        run(SEARCH, str(made))
    assert "Error" in caught.value.stderr
    assert server.requests == []
