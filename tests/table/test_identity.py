"""What a message says where a column's model is not the one at hand."""

from __future__ import annotations

from typing import Any

import pytest

from embow._table.identity import require_same_identity
from embow.embeddings import Binding
from embow.errors import IdentityMismatchError


def binding(settings: dict[str, Any], **identity: Any) -> Binding:
    """Return a stored binding of a model in a folder."""
    record = {
        "name": "local",
        "model": settings,
        "source_column": "text",
        "vector_column": "vector",
        "identity": {"provider": "local", **identity},
        "fingerprint": str(sorted(map(str, identity.items()))),
    }
    return Binding.from_record(record)


def message(stored: Binding, declared: Binding) -> str:
    """Return what is said on the two."""
    with pytest.raises(IdentityMismatchError) as caught:
        require_same_identity(stored, declared)
    return str(caught.value)


def test_folders_and_files_that_differ_are_named() -> None:
    """Of a digest enough is shown to tell two apart."""
    same = {"a.json": "1", "b.json": "2"}
    stored = binding({"name": "/old/model"}, name="sha256:" + "1" * 64, files={**same, "w": "3"})
    declared = binding({"name": "/new/model"}, name="sha256:" + "2" * 64, files={**same, "w": "4"})
    said = message(stored, declared)
    assert "local with the model in '/old/model' (sha256:111111111111)" in said
    assert "'/new/model' (sha256:222222222222)" in said
    assert "files w." in said
    assert "1" * 13 not in said


def test_names_and_other_settings_are_told_as_they_are() -> None:
    """A model of a hub has its name, and a value that differs both its forms."""
    said = message(
        binding({}, name="org/model", pooling="mean"), binding({}, name="org/model", pooling="cls")
    )
    assert "by local/org/model;" in said
    assert "Different: pooling was 'mean', is 'cls'." in said


@pytest.mark.parametrize("files", [None, 3, "x", ["w"], {"w": [1]}, {"w": {"a": {}}}])
def test_odd_records_are_told_too(files: Any) -> None:
    """Metadata that no version of embow wrote ends in the same message."""
    digest = "sha256:" + "1" * 64
    stored = binding({"name": 7}, name=digest, files=files)
    assert "files" in message(stored, binding({}, name=digest, files={"w": "3"}))
