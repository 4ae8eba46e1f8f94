"""Rerankers: what puts the rows of results into a better order.

Those that calculate are here. Those that ask a model are plugins; LanceDB's names of them can be
imported from here all the same. Names are imported when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from embow._lazy import lazy

if TYPE_CHECKING:
    from embow.rerankers._base import Reranker as Reranker
    from embow.rerankers._fusion import LinearCombinationReranker as LinearCombinationReranker
    from embow.rerankers._fusion import MRRReranker as MRRReranker
    from embow.rerankers._fusion import RRFReranker as RRFReranker
    from embow.rerankers._lookup import get_reranker as get_reranker
    from embow.rerankers._model import ModelReranker as ModelReranker

_find, __dir__, __all__ = lazy(
    __name__,
    {
        "_base": "Reranker",
        "_fusion": "LinearCombinationReranker MRRReranker RRFReranker",
        "_lookup": "get_reranker",
        "_model": "ModelReranker",
    },
)


def __getattr__(name: str) -> Any:
    if name in __all__:
        return _find(name)
    from embow.plugins import _known as known

    reranker = known.reranker_of_class(name)
    if reranker is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import inspect

    from embow.errors import PluginError, ProviderClassError, ProviderNotInstalledError
    from embow.rerankers._lookup import get_reranker

    try:
        return get_reranker(reranker)
    except PluginError as exc:
        # For "from embow.rerankers import X", Python itself would say less than we know.
        importing = inspect.stack(0)[1].function == "_handle_fromlist"
        error = ProviderNotInstalledError if importing else ProviderClassError
        raise error(str(exc)) from None
