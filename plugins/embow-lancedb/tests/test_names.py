"""The modules and names that programs import."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pandas as pd
import pyarrow as pa
import pytest

import embow.embeddings
import embow.pydantic
from embow_lancedb import context, exceptions, expr, pydantic, schema, util
from embow_lancedb.common import Credential, sanitize_uri
from embow_lancedb.embeddings import utils

IMPORTS = {
    "embow_lancedb": "connect connect_async DBConnection LanceDBConnection RemoteDBConnection "
    "AsyncConnection AsyncTable Table URI Session sanitize_uri vector col lit func Expr "
    "FtsToken tokenize __version__",
    "embow_lancedb.common": "URI VEC VECTOR_COLUMN_NAME DATA Credential sanitize_uri",
    "embow_lancedb.context": "contextualize Contextualizer",
    "embow_lancedb.db": "AsyncConnection DBConnection LanceDBConnection",
    "embow_lancedb.embeddings": "EmbeddingFunction EmbeddingFunctionConfig get_registry register "
    "EmbeddingFunctionRegistry TextEmbeddingFunction OpenAIEmbeddings",
    "embow_lancedb.embeddings.base": "EmbeddingFunction EmbeddingFunctionConfig "
    "TextEmbeddingFunction",
    "embow_lancedb.embeddings.openai": "OpenAIEmbeddings",
    "embow_lancedb.embeddings.utils": "api_key_not_found_help weak_lru TEXT IMAGES AUDIO",
    "embow_lancedb.embeddings.registry": "EmbeddingFunctionRegistry get_registry register",
    "embow_lancedb.exceptions": "MissingValueError MissingColumnError",
    "embow_lancedb.expr": "Expr col func lit",
    "embow_lancedb.index": "BTree Bitmap LabelList FTS Fm IvfFlat IvfSq IvfPq IvfRq HnswPq HnswSq "
    "HnswFlat IvfHnswPq IvfHnswSq IvfHnswFlat",
    "embow_lancedb.merge": "LanceMergeInsertBuilder",
    "embow_lancedb.pydantic": "LanceModel Vector MultiVector pydantic_to_schema vector "
    "FixedSizeListMixin get_extras model_to_dict",
    "embow_lancedb.query": "LanceQueryBuilder LanceVectorQueryBuilder LanceFtsQueryBuilder "
    "LanceHybridQueryBuilder LanceEmptyQueryBuilder AsyncQuery AsyncVectorQuery AsyncFTSQuery "
    "AsyncHybridQuery ColumnOrdering Query",
    "embow_lancedb.remote": "ClientConfig RetryConfig TimeoutConfig TlsConfig",
    "embow_lancedb.rerankers": "Reranker RRFReranker MRRReranker LinearCombinationReranker",
    "embow_lancedb.rerankers.base": "Reranker",
    "embow_lancedb.rerankers.rrf": "RRFReranker",
    "embow_lancedb.schema": "vector blob",
    "embow_lancedb.table": "Table LanceTable AsyncTable Tags",
    "embow_lancedb.util": "attempt_import_or_raise flatten_columns value_to_sql",
}


@pytest.mark.parametrize(
    ("module", "name"), [(m, name) for m, names in IMPORTS.items() for name in names.split()]
)
def test_a_name_can_be_imported(module: str, name: str) -> None:
    """From where LanceDB has it."""
    assert hasattr(importlib.import_module(module), name)


def test_names_are_those_of_embow() -> None:
    """A class imported through the face is the one that embow knows."""
    from embow_lancedb.embeddings import EmbeddingFunction, get_registry

    assert EmbeddingFunction is embow.embeddings.EmbeddingFunction
    assert get_registry() is embow.embeddings.get_registry()
    assert pydantic.LanceModel is embow.pydantic.LanceModel


def test_a_provider_that_is_missing_can_be_asked_for() -> None:
    """``hasattr`` and guarded imports find that it is not there."""
    assert not hasattr(importlib.import_module("embow_lancedb.embeddings"), "NoSuchEmbeddings")
    with pytest.raises(ImportError):
        from embow_lancedb.embeddings import NoSuchEmbeddings  # noqa: F401


def test_importing_it_loads_no_frame_library() -> None:
    """pandas and polars wait for the call that needs them."""
    code = "import sys, embow_lancedb; print({'pandas', 'polars', 'torch'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_vector_is_a_type() -> None:
    """An Arrow type of the package, and a deprecated annotation of the models' module."""
    assert schema.vector(3) == pa.list_(pa.float32(), 3)
    assert schema.vector(3, pa.float16()) == pa.list_(pa.float16(), 3)
    with pytest.warns(DeprecationWarning, match="use Vector"):
        assert pydantic.vector(3) == pydantic.Vector(3)


def test_blobs_are_refused() -> None:
    """With the type to use."""
    with pytest.raises(NotImplementedError, match="large_binary"):
        schema.blob("picture")


def test_a_credential_is_not_shown() -> None:
    """Neither printed nor in ``repr``."""
    assert (str(Credential("sk-1")), repr(Credential("sk-1"))) == ("********", "********")
    assert sanitize_uri("./x") == "./x"


def test_errors_that_programs_import() -> None:
    """They are the built-in ones that LanceDB's are."""
    assert issubclass(exceptions.MissingValueError, ValueError)
    assert str(exceptions.MissingColumnError("a")) == "There is no column 'a'."


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("it's", "'it''s'"),
        (1, "1"),
        (True, "TRUE"),
        (None, "NULL"),
        (b"\x01", "X'01'"),
        ([1.5, "a"], "[1.5, 'a']"),
        (pa.scalar(2), "2"),
    ],
)
def test_values_are_written_as_sql(value: object, text: str) -> None:
    """Text is quoted, so that it cannot end its quotes."""
    assert util.value_to_sql(value) == text


def test_a_missing_package_is_named() -> None:
    """With what to install."""
    with pytest.raises(ImportError, match="pip install this-one"):
        util.attempt_import_or_raise("no_such_package", "this-one")
    assert expr.col("a") is not None


def test_windows_of_text_overlap() -> None:
    """By group, from every row on, and none of fewer rows than the least."""
    frame = pd.DataFrame({"word": list("abcde"), "doc": [1, 1, 1, 2, 2]})
    windows = context.contextualize(frame).text_col("word").window(2).stride(1)
    assert windows.to_pandas()["word"].to_list() == ["a b", "b c", "c d", "d e"]
    grouped = windows.groupby("doc").to_pandas()
    assert grouped.to_numpy().tolist() == [["a b", 1], ["b c", 1], ["d e", 2]]
    assert windows.min_window_size(1).stride(2).to_pandas()["word"].to_list() == ["a b", "c", "d e"]
    assert windows.min_window_size(3).to_pandas().empty


def test_windows_need_their_settings() -> None:
    """What is missing is named."""
    windows = context.contextualize(pd.DataFrame({"word": ["a"]}))
    with pytest.raises(exceptions.MissingValueError, match="text_col"):
        windows.to_pandas()
    with pytest.raises(exceptions.MissingColumnError, match="'nope'"):
        windows.text_col("nope").window(1).stride(1).to_pandas()


def test_helpers_of_embedding_functions() -> None:
    """A missing key names its variable; results of a method are kept."""
    with pytest.raises(ValueError, match="ACME_API_KEY"):
        utils.api_key_not_found_help("acme")
    calls = []
    cached = utils.weak_lru(maxsize=2)(calls.append)
    cached("a")
    cached("a")
    assert calls == ["a"]
