"""Models of static word vectors: real weights of wordllama, saved as the library saves them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import embow
from embow_sentence_transformers import SentenceTransformerEmbeddings as Provider

TEXTS = ["a dog barks at the moon", "stock markets fell sharply", "the puppy howls at night"]


@pytest.fixture(scope="module")
def static(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a folder with wordllama's 32,000 vectors of 256 dimensions."""
    from safetensors.torch import load_file
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer

    spec = importlib.util.find_spec("wordllama")
    assert spec is not None, "pip install --no-deps wordllama==0.4.0.post1"
    assert spec.submodule_search_locations
    home = Path(spec.submodule_search_locations[0])
    tokenizer = Tokenizer.from_file(str(home / "tokenizers/l2_supercat_tokenizer_config.json"))
    (weights,) = load_file(home / "weights/l2_supercat_256.safetensors").values()
    model = SentenceTransformer(
        modules=[StaticEmbedding(tokenizer, embedding_weights=weights.float())], device="cpu"
    )
    folder = tmp_path_factory.mktemp("static")
    model.save_pretrained(str(folder), create_model_card=False)
    return str(folder)


def test_a_table_is_filled_and_searched(static: str, tmp_path: Path) -> None:
    """A model without a limit of tokens embeds rows and queries, and finds by meaning."""
    func = Provider.create(name=static)
    assert func.limits().max_tokens_per_item is None

    class Rows(embow.Model):
        text: str = func.SourceField()
        vector: embow.Vector(func.ndims()) = func.VectorField()

    table = embow.connect(tmp_path / "db").create_table("rows", schema=Rows)
    table.add([{"text": text} for text in TEXTS])
    assert table.search("puppy").limit(1).to_list()[0]["text"] == TEXTS[2]


def test_the_vectors_are_the_librarys(static: str) -> None:
    """What comes out is what the library itself gives."""
    from sentence_transformers import SentenceTransformer

    expected = SentenceTransformer(static, device="cpu").encode(TEXTS, normalize_embeddings=True)
    np.testing.assert_allclose(
        Provider.create(name=static).generate_embeddings(TEXTS), expected, atol=1e-6
    )


def test_a_limit_can_be_set(static: str) -> None:
    """With max_seq_length a text gives the vector of its beginning."""
    func = Provider.create(name=static, max_seq_length=3)
    assert func.limits().max_tokens_per_item == 3
    (limited,) = func.generate_embeddings([TEXTS[0]])
    beginnings = [TEXTS[0][:end] for end in range(1, len(TEXTS[0]))]
    found = Provider.create(name=static).generate_embeddings([*beginnings, TEXTS[0]])
    assert any(np.allclose(limited, vector, atol=1e-6) for vector in found[:-1])
    assert not np.allclose(limited, found[-1], atol=0.01)


def test_tokens_are_counted_exactly(static: str) -> None:
    """The model's own tokenizer counts and cuts."""
    func = Provider.create(name=static)
    (count,) = func.count_tokens([TEXTS[0]])
    cut = func.truncate(TEXTS[0], count - 2)
    assert TEXTS[0].startswith(cut)
    assert func.count_tokens([cut])[0] <= count - 2
