"""The index calls of a table, in both of LanceDB's forms."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

import pyarrow as pa

from embow import index as core
from embow.engines.contract import vector_kinds
from embow.errors import ConfigurationError, near_name
from embow_lancedb import index
from embow_lancedb._arguments import deprecated
from embow_lancedb._listing import (
    IndexConfig,
    IndexStatistics,
    listed_indexes,
    require_index,
    statistics,
    tokens,
)
from embow_lancedb._scalars import Scalar, column_of, forgotten, noted, plain
from embow_lancedb.index import as_embow

_METRICS = ("l2", "cosine", "dot", "hamming")
_VECTORS = {
    "IVF_FLAT": index.IvfFlat,
    "IVF_SQ": index.IvfSq,
    "IVF_PQ": index.IvfPq,
    "IVF_RQ": index.IvfRq,
    "IVF_HNSW_FLAT": index.HnswFlat,
    "IVF_HNSW_PQ": index.HnswPq,
    "IVF_HNSW_SQ": index.HnswSq,
}
_SCALARS = {
    "BTREE": index.BTree,
    "BITMAP": index.Bitmap,
    "LABEL_LIST": index.LabelList,
    "FM": index.Fm,
}


class Indexing:
    """The index calls of a synchronous table.

    Attributes:
        core: embow's table.
    """

    core: Any

    def create_index(
        self,
        metric: str = "l2",
        num_partitions: int | None = None,
        num_sub_vectors: int | None = None,
        vector_column_name: str = "vector",
        replace: bool = True,
        accelerator: str | None = None,
        index_cache_size: int | None = None,
        num_bits: int = 8,
        index_type: str = "IVF_PQ",
        max_iterations: int = 50,
        sample_rate: int = 256,
        m: int = 20,
        ef_construction: int = 300,
        *,
        config: Any = None,
        wait_timeout: timedelta | None = None,
        name: str | None = None,
        train: bool = True,
        target_partition_size: int | None = None,
    ) -> None:
        """Build an index: ``create_index("column", config=IvfPq())``.

        The older form, ``create_index("l2", vector_column_name="column")``, is deprecated in
        LanceDB. What only its own indexes have, such as ``num_partitions``, changes nothing.

        Args:
            metric: The column; in the older form the distance.
            num_partitions: Of the older form; changes nothing.
            num_sub_vectors: Of the older form; changes nothing.
            vector_column_name: Of the older form, the column.
            replace: Build it anew where there is one.
            accelerator: Changes nothing.
            index_cache_size: Changes nothing.
            num_bits: Changes nothing.
            index_type: Of the older form, the kind of index.
            max_iterations: Changes nothing.
            sample_rate: Changes nothing.
            m: Of the older form, neighbours of a vector in a graph.
            ef_construction: Of the older form, candidates while a graph is built.
            config: Kind and settings of the index: a class of ``embow_lancedb.index``.
            wait_timeout: Not needed: the index is there when this returns.
            name: Name of the index; the column's with ``_idx`` where it is ``None``.
            train: Changes nothing: an index is built to the rows that are there.
            target_partition_size: Changes nothing.
        """
        older = (num_partitions, num_sub_vectors, accelerator, index_cache_size)
        column = metric
        is_older = any(each is not None for each in older) or vector_column_name != "vector"
        if config is None and (is_older or metric.lower() in _METRICS):
            deprecated("create_index(metric, ...)", "use create_index('column', config=IvfPq())")
            column = vector_column_name
            config = _older_config(metric.lower(), index_type, m, ef_construction)
        self._build(column, config, name, replace)

    def create_scalar_index(
        self,
        column: str,
        *,
        replace: bool = True,
        index_type: str = "BTREE",
        name: str | None = None,
    ) -> None:
        """Accept an index of values, without which conditions are evaluated over columns."""
        deprecated("create_scalar_index", "use create_index('column', config=BTree())")
        config = _known("index type", index_type.upper(), _SCALARS)()
        self._build(column, config, name, replace)

    def create_fts_index(
        self,
        field_names: str | Sequence[str],
        *,
        ordering_field_names: str | Sequence[str] | None = None,
        replace: bool = False,
        writer_heap_size: int | None = 1024**3,
        use_tantivy: bool = False,
        tokenizer_name: str | None = None,
        name: str | None = None,
        **settings: Any,
    ) -> None:
        """Build an index of words.

        Args:
            field_names: A column of texts.
            ordering_field_names: Refused, as in LanceDB.
            replace: Build it anew where there is one.
            writer_heap_size: Refused, as in LanceDB, unless it is the default.
            use_tantivy: Refused, as in LanceDB.
            tokenizer_name: The older way to say how texts are cut: ``"default"``, ``"raw"``,
                ``"whitespace"``, ``"en_stem"``.
            name: Name of the index.
            **settings: Those of :class:`embow_lancedb.index.FTS`.
        """
        deprecated("create_fts_index", "use create_index('column', config=FTS())")
        if use_tantivy or ordering_field_names is not None or writer_heap_size != 1024**3:
            raise ConfigurationError(
                "create_fts_index has no use_tantivy, ordering_field_names and writer_heap_size "
                "any more: create_index('column', config=FTS()). Sort results with order_by(...)."
            )
        if not isinstance(field_names, str):
            raise ConfigurationError(
                "Native FTS indexes can only be created on a single column at a time. Create one "
                "for each: search(..., fts_columns=[...]) searches in several."
            )
        unknown = settings.keys() - vars(index.FTS()).keys()
        if unknown:
            raise ConfigurationError(f"create_fts_index has no setting {min(unknown)!r}.")
        if tokenizer_name is not None:
            settings = {**_older_tokenizer(tokenizer_name), **settings}
        self._build(field_names, index.FTS(**settings), name, replace)

    def _build(self, column: str, config: Any, name: str | None, replace: bool) -> None:
        schema = self.core.schema
        chosen = _chosen(schema, column, config)
        if isinstance(chosen, str):
            wanted = Scalar(name or f"{column}_idx", chosen, column)
            self.core.alter_columns(noted(schema, wanted, replace))
        else:
            path, name = plain(schema, column), name or f"{column}_idx"
            self.core.create_index(path, chosen, name=name, replace=replace, progress=False)
            if (note := forgotten(schema, name)) is not None:
                self.core.alter_columns(note)

    def list_indices(self) -> list[IndexConfig]:
        """Return the indexes of the table, by name."""
        return listed_indexes(self.core.list_indices(), self.core.schema, self.core.count_rows())

    def index_stats(self, index_name: str) -> IndexStatistics | None:
        """Return how much of the table an index covers; ``None`` where there is none."""
        return statistics(self.list_indices(), index_name)

    def drop_index(self, name: str) -> None:
        """Remove an index."""
        alteration = forgotten(self.core.schema, name)
        if alteration is None:
            self.core.drop_index(name)
        else:
            self.core.alter_columns(alteration)

    def wait_for_index(
        self, index_names: Iterable[str], timeout: timedelta = timedelta(seconds=300)
    ) -> None:
        """Return at once: an index is there when ``create_index`` returns."""

    def prewarm_index(self, name: str) -> None:
        """Check that there is such an index, which is read when it is first needed."""
        require_index(self.list_indices(), name)

    def prewarm_data(self, columns: Sequence[str] | None = None) -> None:
        """Read columns once."""
        self.core.search().select(columns).to_arrow()

    def tokenize(
        self, query: str, *, column: str | None = None, index_name: str | None = None
    ) -> list[Any]:
        """Return the words of a text as an index holds them: ``text`` and ``position``."""
        return tokens(self.core.list_indices(), query, column, index_name)


class AsyncIndexing:
    """The index calls of an asynchronous table.

    Attributes:
        core: embow's asynchronous table.
    """

    core: Any

    async def create_index(
        self,
        column: str,
        *,
        replace: bool | None = None,
        config: Any = None,
        wait_timeout: timedelta | None = None,
        name: str | None = None,
        train: bool = True,
    ) -> None:
        """Build an index; see :meth:`LanceTable.create_index`."""
        schema = await self.core.schema()
        chosen, anew = _chosen(schema, column, config), replace is not False
        if isinstance(chosen, str):
            wanted = Scalar(name or f"{column}_idx", chosen, column)
            await self.core.alter_columns(noted(schema, wanted, anew))
        else:
            path, name = plain(schema, column), name or f"{column}_idx"
            await self.core.create_index(path, chosen, name=name, replace=anew, progress=False)
            if (note := forgotten(schema, name)) is not None:
                await self.core.alter_columns(note)

    async def list_indices(self) -> list[IndexConfig]:
        """Return the indexes of the table, by name."""
        built, rows = await self.core.list_indices(), await self.core.count_rows()
        return listed_indexes(built, await self.core.schema(), rows)

    async def index_stats(self, index_name: str) -> IndexStatistics | None:
        """Return how much of the table an index covers; ``None`` where there is none."""
        return statistics(await self.list_indices(), index_name)

    async def drop_index(self, name: str) -> None:
        """Remove an index."""
        alteration = forgotten(await self.core.schema(), name)
        if alteration is None:
            await self.core.drop_index(name)
        else:
            await self.core.alter_columns(alteration)

    async def wait_for_index(
        self, index_names: Iterable[str], timeout: timedelta = timedelta(seconds=300)
    ) -> None:
        """Return at once: an index is there when ``create_index`` returns."""

    async def prewarm_index(self, name: str) -> None:
        """Check that there is such an index, which is read when it is first needed."""
        require_index(await self.list_indices(), name)

    async def prewarm_data(self, columns: Sequence[str] | None = None) -> None:
        """Read columns once."""
        await self.core.search().select(columns).to_arrow()

    async def tokenize(
        self, query: str, *, column: str | None = None, index_name: str | None = None
    ) -> list[Any]:
        """Return the words of a text as an index holds them: ``text`` and ``position``."""
        return tokens(await self.core.list_indices(), query, column, index_name)


def _known(what: str, name: str, known: dict[str, Any]) -> Any:
    if name not in known:
        raise ConfigurationError(
            f"Unknown {what} {name!r}.{near_name(name, known)} Use one of {', '.join(known)}."
        )
    return known[name]


def _older_config(metric: str, index_type: str, m: int, ef_construction: int) -> Any:
    kind = _known("index type", index_type.upper(), _VECTORS)
    distance: Any = _known("distance type", metric, dict.fromkeys(_METRICS, metric))
    graph = {"m": m, "ef_construction": ef_construction} if "HNSW" in index_type.upper() else {}
    return kind(distance_type=distance, **graph)


_LANGUAGES = {
    "ar": "Arabic",
    "da": "Danish",
    "du": "Dutch",
    "en": "English",
    "fi": "Finnish",
    "fr": "French",
    "ge": "German",
    "gr": "Greek",
    "hu": "Hungarian",
    "it": "Italian",
    "no": "Norwegian",
    "po": "Portuguese",
    "ro": "Romanian",
    "ru": "Russian",
    "sp": "Spanish",
    "sw": "Swedish",
    "ta": "Tamil",
    "tu": "Turkish",
}


def _older_tokenizer(name: str) -> dict[str, Any]:
    """Return the settings that a name of a tokenizer stood for."""
    plain = {"stem": False, "remove_stop_words": False, "ascii_folding": False}
    if name == "default":
        return {"base_tokenizer": "simple", **plain}
    if name in ("raw", "whitespace"):
        return {"base_tokenizer": name, "lower_case": False, "max_token_length": None, **plain}
    language, _, stem = name.partition("_")
    if stem == "stem" and language in _LANGUAGES:
        return {"language": _LANGUAGES[language], **plain, "stem": True}
    raise ConfigurationError(f"Unknown tokenizer_name {name!r}: use FTS(base_tokenizer=...).")


def _chosen(schema: pa.Schema, column: str, config: Any) -> core.Config | str:
    """Return embow's settings; where it needs no index, what LanceDB calls the one asked for."""
    column_of(schema, column)
    if config is None:
        kind = vector_kinds(schema).get(plain(schema, column))
        return "BTree" if kind is None or kind.multi else core.Hnsw()
    return as_embow(config) or type(config).__name__
