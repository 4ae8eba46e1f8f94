"""From a reranker's name to its class."""

from __future__ import annotations

from embow.errors import PluginBrokenError
from embow.plugins import RerankerSpec
from embow.plugins import _discovery as discovery
from embow.rerankers._base import Reranker


def get_reranker(name: str) -> type[Reranker]:
    """Return the class of an installed reranker; its package is not imported.

    Example:
        ``get_reranker("cohere").create(model_name="rerank-v3.5")``

    Raises:
        ProviderNotFoundError: Nothing is known under that name.
        ProviderNotInstalledError: It is known but not installed.
        ProviderConflictError: Several distributions offer it.
        PluginBrokenError: It is disabled, incompatible or broken.
    """
    listed = discovery.find(RerankerSpec, name)
    assert listed.spec is not None, "what can be imported has a spec"
    cls = discovery.load_target(listed.spec)
    if not (isinstance(cls, type) and issubclass(cls, Reranker)):
        raise PluginBrokenError(
            f"Reranker {name!r} of {listed.distribution} cannot be used: {listed.spec.target!r} is "
            "no Reranker."
        )
    return cls
