"""What providers share that run a model from a folder or a hub."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from embow.embeddings import _model_files as model_files
from embow.embeddings import local_models
from embow.embeddings.local_models import (
    all_files,
    explain_load_failure,
    file_digest,
    local_folder,
    model_identity,
    sentence_transformers_files,
    transformers_files,
    usable_device,
)
from embow.errors import ConfigurationError


def model_reference(name: str, files: Callable[[Path], list[Path]] = all_files) -> str:
    """Return the name a model is known by."""
    return str(model_identity(name, files)["name"])


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


# -- which files count -----------------------------------------------------------------------


def sentence_model(folder: Path, *kinds: str) -> Path:
    """Make a folder as sentence-transformers saves one, with the modules given."""
    parts = [{"path": kind if at else "", "type": kind} for at, kind in enumerate(kinds)]
    (folder / "modules.json").write_text(json.dumps(parts))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "sentence_bert_config.json").write_text("{}")
    (folder / "config_sentence_transformers.json").write_text("{}")
    return folder


@pytest.fixture
def whole(model: Path) -> Path:
    """Return a folder with what either library needs."""
    sentence_model(model, "sentence_transformers.models.Transformer", POOLING)
    (model / "1_Pooling").rename(model / POOLING)
    return model


POOLING = "sentence_transformers.models.Pooling"
LOADERS = [transformers_files, sentence_transformers_files]


@pytest.mark.parametrize("files", LOADERS)
@pytest.mark.parametrize(
    "more",
    ["notes.txt", "train.py", "onnx/model.onnx", "onnx/config.json", "generation_config.json",
     "vocab.txt", "pytorch_model.bin", "tf_model.h5", "README.md", "checkpoint/config.json"],
)  # fmt: skip
def test_a_file_nobody_reads_changes_nothing(
    files: Callable[[Path], list[Path]], more: str, whole: Path
) -> None:
    """Notes, scripts, exports and other weights beside those that are read do not count."""
    before = model_reference(str(whole), files)
    (whole / more).parent.mkdir(exist_ok=True)
    (whole / more).write_text("more")
    assert model_reference(str(whole), files) == before


@pytest.mark.parametrize("files", LOADERS)
@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"]
)
def test_a_file_that_is_read_counts(
    files: Callable[[Path], list[Path]], name: str, whole: Path
) -> None:
    """Settings, tokenizer and weights make another model when they change."""
    before = model_reference(str(whole), files)
    (whole / name).write_text("other")
    assert model_reference(str(whole), files) != before


@pytest.mark.parametrize(
    "name",
    [
        "modules.json",
        "sentence_bert_config.json",
        "sentence_transformers.models.Pooling/config.json",
    ],
)
def test_settings_of_modules_count_for_who_reads_them(name: str, whole: Path) -> None:
    """How vectors are pooled matters to sentence-transformers, and to no other."""
    before = [model_reference(str(whole), files) for files in LOADERS]
    (whole / name).write_text((whole / name).read_text() + " ")
    after = [model_reference(str(whole), files) for files in LOADERS]
    assert after[0] == before[0]
    assert after[1] != before[1]


def test_weights_in_parts_count_with_their_index(whole: Path) -> None:
    """An index names the files of weights; others beside them are not read."""
    (whole / "model.safetensors").rename(whole / "part-1")
    index = {"weight_map": {"a": "part-1", "b": "part-1"}}
    (whole / "model.safetensors.index.json").write_text(json.dumps(index))
    names = {path.name for path in transformers_files(whole)}
    assert {"part-1", "model.safetensors.index.json"} <= names
    (whole / "part-2").write_text("x")
    assert {path.name for path in transformers_files(whole)} == names


@pytest.mark.parametrize("index", ["{", "[]", '{"weight_map": [1]}', '{"weight_map": {"a": [1]}}'])
def test_an_index_that_cannot_be_read_leaves_every_file(index: str, whole: Path) -> None:
    """What is wrong with it is told by the loader."""
    (whole / "model.safetensors").unlink()
    (whole / "model.safetensors.index.json").write_text(index)
    assert sorted(transformers_files(whole)) == sorted(all_files(whole))


@pytest.mark.parametrize("why", ["code", "weights", "tokenizer"])
def test_every_file_counts_where_any_may_be_read(why: str, whole: Path) -> None:
    """Code of the model's own, or a layout that is not known, may read anything."""
    if why == "code":
        (whole / "config.json").write_text('{"auto_map": {"AutoModel": "own.Model"}}')
    else:
        (whole / {"weights": "model.safetensors"}.get(why, "tokenizer.json")).unlink()
    assert sorted(transformers_files(whole)) == sorted(all_files(whole))


def test_every_file_counts_for_modules_that_are_not_known(model: Path) -> None:
    """A module of another package reads what it likes."""
    sentence_model(model, "sentence_transformers.models.Transformer", "their.Module")
    assert sorted(sentence_transformers_files(model)) == sorted(all_files(model))


def test_an_identity_says_which_file_is_another(whole: Path) -> None:
    """Each file has its own short digest, so that a message can name those that differ."""
    before = model_identity(str(whole), transformers_files)
    (whole / "tokenizer_config.json").write_text("{}")
    after = model_identity(str(whole), transformers_files)
    assert set(after["files"]) - set(before["files"]) == {"tokenizer_config.json"}
    assert model_identity("org/no-such-model") == {"name": "org/no-such-model"}


# -- digests kept for other processes --------------------------------------------------------


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Path]:
    """Return a list that grows by each large file read; files of ten bytes are large here."""
    reads: list[Path] = []
    digest = hashlib.file_digest

    def counting(file: object, name: str) -> object:
        reads.append(Path(file.name))  # type: ignore[attr-defined]
        return digest(file, name)  # type: ignore[arg-type]

    monkeypatch.setattr(model_files, "_WORTH_KEEPING", 10)
    monkeypatch.setattr(model_files, "_store", lambda: tmp_path / "cache" / "digests.json")
    monkeypatch.setattr(hashlib, "file_digest", counting)
    model_files._digest.cache_clear()
    return reads


def in_another_process(path: Path) -> str:
    """Return a file's digest with nothing known but what other processes kept."""
    model_files._digest.cache_clear()
    return file_digest(path)


def aged(path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch, seconds: int = 60) -> Path:
    """Write a file, and let a minute go by."""
    path.write_bytes(content)
    now = path.stat().st_ctime_ns
    monkeypatch.setattr(model_files.time, "time_ns", lambda: now + seconds * 10**9)
    return path


def test_a_large_file_is_read_once_for_all_processes(
    tmp_path: Path, hashed: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next process takes the digest from the user's cache."""
    file = aged(tmp_path / "weights", b"0123456789", monkeypatch)
    first = in_another_process(file)
    assert in_another_process(file) == first == hashlib.sha256(b"0123456789").hexdigest()
    assert hashed == [file]


@pytest.mark.parametrize("change", ["size", "content", "replaced", "touched"])
def test_a_changed_file_is_read_again(
    change: str, tmp_path: Path, hashed: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another size, time or inode is another file, also where the old times were put back."""
    file = aged(tmp_path / "weights", b"0123456789", monkeypatch)
    in_another_process(file)
    times = (file.stat().st_atime_ns, file.stat().st_mtime_ns)
    content = {"size": b"0123456789+", "touched": b"0123456789"}.get(change, b"9876543210")
    if change == "replaced":
        (tmp_path / "new").write_bytes(b"0123456789")
        (tmp_path / "new").replace(file)
    changed = file.stat().st_ctime_ns
    while file.stat().st_ctime_ns == changed:  # until the file system's clock ticks
        file.write_bytes(content)
        os.utime(file, ns=times)
    assert in_another_process(file) == hashlib.sha256(content).hexdigest()
    assert len(hashed) == 2


def test_a_file_just_written_is_not_relied_on(
    tmp_path: Path, hashed: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It could be written again within the same tick of the file system's clock."""
    file = aged(tmp_path / "weights", b"0123456789", monkeypatch, seconds=1)
    in_another_process(file)
    in_another_process(file)
    assert len(hashed) == 2


@pytest.mark.parametrize("damage", ["{", "[]", '{"%s": 3}', '{"%s": [1, 2]}'])
def test_a_damaged_cache_costs_only_time(
    damage: str, tmp_path: Path, hashed: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be read there is as if it were not there."""
    file = aged(tmp_path / "weights", b"0123456789", monkeypatch)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "digests.json").write_text(damage.replace("%s", str(file)))
    assert in_another_process(file) == in_another_process(file)
    assert len(hashed) == 1


def test_a_cache_that_cannot_be_written_is_done_without(
    tmp_path: Path, hashed: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file where the folder should be stops nothing."""
    file = aged(tmp_path / "weights", b"0123456789", monkeypatch)
    (tmp_path / "cache").write_text("in the way")
    assert in_another_process(file) == hashlib.sha256(b"0123456789").hexdigest()


def test_the_cache_is_bounded(
    tmp_path: Path, hashed: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond so many files the oldest is forgotten."""
    monkeypatch.setattr(model_files, "_MOST_KEPT", 2)
    files = [aged(tmp_path / name, b"0123456789", monkeypatch) for name in "abc"]
    for file in (*files, *files[1:], files[0]):
        in_another_process(file)
    assert hashed == [*files, files[0]]


# -- devices ----------------------------------------------------------------------------------


def fake_torch(*, cuda: bool, mps: bool) -> types.SimpleNamespace:
    """Return something that answers what is asked of torch."""
    return types.SimpleNamespace(
        cuda=types.SimpleNamespace(is_available=lambda: cuda),
        backends=types.SimpleNamespace(mps=types.SimpleNamespace(is_available=lambda: mps)),
        empty=lambda size, device: None,
    )


@pytest.mark.parametrize(
    ("name", "cuda", "mps", "device"),
    [
        ("gpu", True, False, "cuda"),
        ("gpu", False, True, "mps"),
        ("GPU", True, True, "cuda"),
        ("auto", False, False, "cpu"),
        ("auto", True, False, "cuda"),
        (None, False, True, "mps"),
        ("cuda:1 ", True, False, "cuda:1"),
        ("CPU", True, False, "cpu"),
    ],
)
def test_device_is_chosen(
    monkeypatch: pytest.MonkeyPatch, name: str | None, cuda: bool, mps: bool, device: str
) -> None:
    """The names of the documents mean the device that is there."""
    monkeypatch.setitem(sys.modules, "torch", fake_torch(cuda=cuda, mps=mps))
    monkeypatch.setattr(local_models, "_compute_in_one_thread_after_fork", lambda: None)
    assert usable_device(name) == device


def test_gpu_without_a_gpu_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that was asked for by name is not replaced in silence."""
    monkeypatch.setitem(sys.modules, "torch", fake_torch(cuda=False, mps=False))
    with pytest.raises(ConfigurationError, match="torch sees neither CUDA nor MPS"):
        usable_device("gpu")


# -- errors ----------------------------------------------------------------------------------


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
