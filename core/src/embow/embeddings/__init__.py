"""Embedding functions: the contract, the registry, and helpers for those who write providers.

Names are imported when first used, so that importing this package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embow.embeddings.base import EmbeddingFunction as EmbeddingFunction
    from embow.embeddings.base import TextEmbeddingFunction as TextEmbeddingFunction
    from embow.embeddings.base import Vectors as Vectors
    from embow.embeddings.base import as_vectors as as_vectors
    from embow.embeddings.base import require_texts as require_texts
    from embow.embeddings.base import sanitize as sanitize
    from embow.embeddings.bindings import Binding as Binding
    from embow.embeddings.bindings import EmbeddingFunctionConfig as EmbeddingFunctionConfig
    from embow.embeddings.bindings import read_bindings as read_bindings
    from embow.embeddings.loading import load_once as load_once
    from embow.embeddings.loading import load_sdk as load_sdk
    from embow.embeddings.loading import resolve_device as resolve_device
    from embow.embeddings.loading import unload as unload
    from embow.embeddings.local_models import explain_load_failure as explain_load_failure
    from embow.embeddings.local_models import local_folder as local_folder
    from embow.embeddings.local_models import model_reference as model_reference
    from embow.embeddings.local_models import usable_device as usable_device
    from embow.embeddings.provider import Provider as Provider
    from embow.embeddings.registry import EmbeddingFunctionRegistry as EmbeddingFunctionRegistry
    from embow.embeddings.registry import get_registry as get_registry
    from embow.embeddings.registry import register as register
    from embow.embeddings.rerank import Reranker as Reranker
    from embow.embeddings.secrets import scrub as scrub
    from embow.embeddings.secrets import secret_mapping as secret_mapping
    from embow.embeddings.secrets import secret_value as secret_value
    from embow.embeddings.secrets import secrets_of as secrets_of
    from embow.embeddings.tokens import TokenCounter as TokenCounter
    from embow.embeddings.trust import Trust as Trust
    from embow.embeddings.trust import is_signed as is_signed
    from embow.embeddings.trust import sign as sign
    from embow.embeddings.types import External as External
    from embow.embeddings.types import Failure as Failure
    from embow.embeddings.types import FailureKind as FailureKind
    from embow.embeddings.types import Limits as Limits
    from embow.embeddings.types import RateStatus as RateStatus
    from embow.embeddings.types import Role as Role
    from embow.embeddings.types import Usage as Usage
    from embow.embeddings.types import external as external
    from embow.embeddings.types import local_path as local_path
    from embow.embeddings.types import operational as operational
    from embow.embeddings.types import record_rate as record_rate
    from embow.embeddings.types import record_request as record_request
    from embow.embeddings.types import record_usage as record_usage

_HOME = {
    "Binding": "bindings",
    "EmbeddingFunction": "base",
    "EmbeddingFunctionConfig": "bindings",
    "EmbeddingFunctionRegistry": "registry",
    "External": "types",
    "Failure": "types",
    "FailureKind": "types",
    "Limits": "types",
    "Provider": "provider",
    "RateStatus": "types",
    "Reranker": "rerank",
    "Role": "types",
    "TextEmbeddingFunction": "base",
    "TokenCounter": "tokens",
    "Trust": "trust",
    "Usage": "types",
    "Vectors": "base",
    "as_vectors": "base",
    "explain_load_failure": "local_models",
    "external": "types",
    "get_registry": "registry",
    "is_signed": "trust",
    "load_once": "loading",
    "load_sdk": "loading",
    "local_folder": "local_models",
    "local_path": "types",
    "model_reference": "local_models",
    "operational": "types",
    "read_bindings": "bindings",
    "record_rate": "types",
    "record_request": "types",
    "record_usage": "types",
    "register": "registry",
    "require_texts": "base",
    "resolve_device": "loading",
    "sanitize": "base",
    "scrub": "secrets",
    "secret_mapping": "secrets",
    "secret_value": "secrets",
    "secrets_of": "secrets",
    "sign": "trust",
    "unload": "loading",
    "usable_device": "local_models",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is not None:
        value = getattr(importlib.import_module(f"embow.embeddings.{home}"), name)
        globals()[name] = value
        return value
    from embow.plugins import known

    provider = known.provider_of_class(name)
    if provider is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from embow.embeddings.registry import get_registry

    return get_registry().get(provider)


def __dir__() -> list[str]:
    return [*globals(), *_HOME]
