"""What providers share that run a model from a folder or a hub."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from embow.embeddings import explain_load_failure, local_folder, model_reference


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Return a folder that looks like a model."""
    folder = tmp_path / "org" / "model"
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "1_Pooling" / "config.json").write_text('{"mode": "mean"}')
    (folder / "model.safetensors").write_bytes(b"\0\1\2")
    return folder


def test_a_folder_is_found_by_a_relative_name(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name like a repository's is a folder where there is one; a file is none."""
    monkeypatch.chdir(model.parents[1])
    assert local_folder("org/model") == model.resolve()
    assert local_folder("org/other") is None
    assert local_folder("org/model/config.json") is None


def test_a_tilde_stands_for_home(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``~`` is the user's own folder, as in a shell."""
    monkeypatch.setenv("HOME", str(model.parent))
    assert local_folder("~/model") == model.resolve()


def test_a_name_without_a_folder_is_its_own_reference() -> None:
    """A model of a hub is known by its name."""
    assert model_reference("org/no-such-model") == "org/no-such-model"


def test_a_copied_folder_is_the_same_model(model: Path, tmp_path: Path) -> None:
    """Path, modification times, documentation and hidden files do not matter."""
    copy = Path(shutil.copytree(model, tmp_path / "copy"))
    (copy / "README.md").write_text("another card")
    (copy / ".cache").mkdir()
    (copy / ".cache" / "lock").write_text("x")
    os.utime(copy / "config.json", (1, 1))
    assert model_reference(str(copy)) == model_reference(str(model))
    assert model_reference(str(model)).startswith("sha256:")


@pytest.mark.parametrize("change", ["content", "name", "folder", "more"])
def test_any_other_file_makes_another_model(model: Path, change: str) -> None:
    """A byte, a name, a place or a file more are noticed in the same process."""
    before = model_reference(str(model))
    config = model / "1_Pooling" / "config.json"
    if change == "content":
        config.write_text('{"mode": "max!"}')
    elif change == "name":
        config.rename(config.with_name("settings.json"))
    elif change == "folder":
        config.rename(model / "pooling.json")
    else:
        (model / "merges.txt").write_text("")
    assert model_reference(str(model)) != before


def test_contents_do_not_run_into_names(tmp_path: Path) -> None:
    """Two folders whose names and contents read alike end to end are two models."""
    for folder, name, content in (("one", "ab", "c"), ("two", "a", "bc")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text(content)
    references = {model_reference(str(tmp_path / folder)) for folder in ("one", "two")}
    assert len(references) == 2


def test_a_folder_with_weights_linked_in_is_read_through(model: Path, tmp_path: Path) -> None:
    """A hub's cache links files to where their content is."""
    linked = tmp_path / "snapshot"
    shutil.copytree(model, linked)
    (linked / "model.safetensors").unlink()
    (linked / "model.safetensors").symlink_to(model / "model.safetensors")
    assert model_reference(str(linked)) == model_reference(str(model))


def test_a_model_that_was_not_delivered_is_explained() -> None:
    """The message has the model, the first line of the cause, and both ways out."""
    error = explain_load_failure("acme", "org/model", OSError("no network\nand more"))
    message = str(error)
    assert "'org/model' of acme" in message
    assert "(OSError: no network)" in message
    assert "local folder" in message
    assert message.endswith("hf download org/model")


def test_a_folder_without_a_model_is_explained(tmp_path: Path) -> None:
    """A folder is not looked for on a hub, and an error without text is named by its class."""
    error = explain_load_failure("acme", str(tmp_path), KeyError())
    assert (
        str(error) == f"The folder {str(tmp_path)!r} holds no model that acme can load (KeyError)."
    )
