"""Signatures: what a user's processes may believe of each other's tables, and nobody else's."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from embow.embeddings import Binding, is_signed, sign
from embow.embeddings._functions import forget_functions
from embow.embeddings._signing import code, config_folder, is_one_of
from embow.embeddings._trust import Trust
from hostile import CLASSES


def made(column: str = "vector", url: str = "http://127.0.0.1:1/v1") -> Binding:
    """Return a binding that this process made and that asks for an address."""
    function = CLASSES["openai"].create(name="tiny", dim=8, base_url=url)
    return Binding.from_record(function.to_binding("text", column))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a user who has no key yet."""
    monkeypatch.setenv("EMBOW_CONFIG_DIR", str(tmp_path / "config"))
    return tmp_path / "config"


def test_own_binding_is_signed_for_later_processes(folder: Path) -> None:
    """What this process made is believed by one that did not, and by no other user's."""
    binding = made()
    signature = sign([binding])
    assert signature is not None
    assert signature.startswith("v1:")
    forget_functions()  # as in another process
    assert not binding.made_here()
    assert is_signed([binding], signature)
    assert binding.function(signature=signature).base_url == "http://127.0.0.1:1/v1"  # type: ignore[attr-defined]
    (folder / "signing.key").write_bytes(bytes(32))
    assert not is_signed([binding], signature)


def test_what_asks_for_nothing_needs_no_signature(folder: Path) -> None:
    """Ordinary tables have none, are good without, and leave no key behind."""
    binding = Binding.from_record(CLASSES["openai"].create().to_binding("text", "vector"))
    assert sign([binding]) is None
    assert is_signed([binding], None)
    assert not folder.exists()


def test_any_change_of_what_is_asked_ends_it(folder: Path) -> None:
    """Another address, column or class is not what was signed; other settings may change."""
    binding = made()
    signature = sign([binding])
    forget_functions()
    settings = dict(binding.settings)
    for other in (
        replace(binding, settings={**settings, "base_url": "http://evil/v1"}),
        replace(binding, settings={**settings, "user": "$var:HOME"}),
        replace(binding, source_column="secrets"),
        replace(binding, vector_column="other"),
        replace(binding, target="evil:Class"),
    ):
        assert not is_signed([other], signature)
    assert is_signed([replace(binding, settings={**settings, "timeout": 5.0})], signature)


@pytest.mark.parametrize(
    "signature", [None, "", "v1:", "v2:00", "v1:00,zz", "v1:\ud800", "x" * 9999]
)
def test_no_other_text_passes_for_a_signature(folder: Path, signature: str | None) -> None:
    """Nothing but the code of this very key is believed."""
    binding = made()
    assert sign([binding])
    assert not is_signed([binding], signature)


def test_binding_of_a_stranger_is_never_signed(folder: Path) -> None:
    """Changing a stranger's table, however it was allowed, does not make it one's own."""
    strange = Binding("openai", dict(made(url="http://evil/v1").settings), "text", "theirs")
    forget_functions()
    strange.function(Trust.of(True))
    own = made()
    signature = sign([strange, own])
    assert is_signed([own], signature)
    assert not is_signed([strange], signature)
    assert not is_signed([strange, own], signature)
    assert sign([strange]) is None


def test_signature_until_now_is_carried_on(folder: Path) -> None:
    """A process that changes a table of the same user's earlier one keeps what was good."""
    first, second = made("a"), made("b")
    before = sign([first, second])
    forget_functions()
    third = made("c", "http://127.0.0.1:2/v1")
    after = sign([first, third], before)
    assert is_signed([first, third], after)
    assert not is_signed([second], after)
    assert sign([first], None) is None


def test_missing_provider_is_no_question_of_trust(folder: Path) -> None:
    """Without its class nothing can be sent or run, and tables with it are still signed."""
    absent = Binding("nowhere", {"base_url": "http://evil"}, "text", "vector")
    assert sign([absent]) is None
    assert is_signed([absent], None)
    assert is_signed([absent, made()], sign([absent, made()]))


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_key_is_the_users_alone(folder: Path) -> None:
    """Others on the machine cannot read it, and no draft is left."""
    assert code(b"x", create=True)
    assert [path.name for path in folder.iterdir()] == ["signing.key"]
    assert stat.S_IMODE((folder / "signing.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_processes_that_race_get_one_key(folder: Path) -> None:
    """However many make the key at once, what one signs every other believes."""
    program = "from embow.embeddings._signing import code; print(code(b'x', create=True))"
    run = [sys.executable, "-c", program]
    with ThreadPoolExecutor(6) as pool:
        made_there = pool.map(lambda _: subprocess.check_output(run, text=True).strip(), range(6))
    assert set(made_there) == {code(b"x")}


def test_key_that_cannot_be_kept_means_asking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a place to write, or with a damaged key, tables are unsigned, and all else works."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EMBOW_CONFIG_DIR", str(tmp_path / "file" / "config"))
    binding = made()
    assert sign([binding]) is None
    assert not is_signed([binding], "v1:00")
    assert binding.function()
    monkeypatch.setenv("EMBOW_CONFIG_DIR", str(tmp_path))
    (tmp_path / "signing.key").write_bytes(b"short")
    assert sign([binding]) is None
    assert not is_one_of(b"x", ["00"])


def test_key_is_kept_where_the_platform_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the variable it is the user's own folder for settings."""
    monkeypatch.delenv("EMBOW_CONFIG_DIR")
    assert config_folder().name == "embow"
