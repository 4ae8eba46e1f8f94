"""Embedding functions: the contract, the registry, and helpers for those who write providers.

Names are imported when first used, so that importing this package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from embow._lazy import lazy

if TYPE_CHECKING:
    from embow.embeddings._base import EmbeddingFunction as EmbeddingFunction
    from embow.embeddings._base import TextEmbeddingFunction as TextEmbeddingFunction
    from embow.embeddings._base import require_texts as require_texts
    from embow.embeddings._base import sanitize as sanitize
    from embow.embeddings._bindings import Binding as Binding
    from embow.embeddings._bindings import EmbeddingFunctionConfig as EmbeddingFunctionConfig
    from embow.embeddings._bindings import is_signed as is_signed
    from embow.embeddings._bindings import read_bindings as read_bindings
    from embow.embeddings._bindings import sign as sign
    from embow.embeddings._describe import describe_settings as describe_settings
    from embow.embeddings._loading import load_once as load_once
    from embow.embeddings._loading import load_sdk as load_sdk
    from embow.embeddings._loading import unload as unload
    from embow.embeddings._made import Vectors as Vectors
    from embow.embeddings._made import as_vectors as as_vectors
    from embow.embeddings._provider import Provider as Provider
    from embow.embeddings._registry import EmbeddingFunctionRegistry as EmbeddingFunctionRegistry
    from embow.embeddings._registry import get_registry as get_registry
    from embow.embeddings._registry import register as register
    from embow.embeddings._secrets import full_value as full_value
    from embow.embeddings._secrets import plain_secrets as plain_secrets
    from embow.embeddings._secrets import scrub as scrub
    from embow.embeddings._secrets import secret_fields as secret_fields
    from embow.embeddings._secrets import secret_mapping as secret_mapping
    from embow.embeddings._secrets import secret_value as secret_value
    from embow.embeddings._secrets import secrets_of as secrets_of
    from embow.embeddings._tokens import TokenCounter as TokenCounter
    from embow.embeddings._trust import Trust as Trust
    from embow.embeddings.types import External as External
    from embow.embeddings.types import Failure as Failure
    from embow.embeddings.types import FailureKind as FailureKind
    from embow.embeddings.types import Limits as Limits
    from embow.embeddings.types import RateStatus as RateStatus
    from embow.embeddings.types import Role as Role
    from embow.embeddings.types import Usage as Usage
    from embow.embeddings.types import VectorForm as VectorForm
    from embow.embeddings.types import external as external
    from embow.embeddings.types import local_path as local_path
    from embow.embeddings.types import operational as operational
    from embow.embeddings.types import record_rate as record_rate
    from embow.embeddings.types import record_request as record_request
    from embow.embeddings.types import record_usage as record_usage

_find, __dir__, __all__ = lazy(
    __name__,
    {
        "_base": ("EmbeddingFunction TextEmbeddingFunction require_texts sanitize"),
        "_bindings": "Binding EmbeddingFunctionConfig is_signed read_bindings sign",
        "_describe": "describe_settings",
        "_loading": "load_once load_sdk unload",
        "_made": "Vectors as_vectors",
        "_provider": "Provider",
        "_registry": "EmbeddingFunctionRegistry get_registry register",
        "_secrets": (
            "full_value plain_secrets scrub secret_fields secret_mapping secret_value secrets_of"
        ),
        "_tokens": "TokenCounter",
        "_trust": "Trust",
        "types": (
            "External Failure FailureKind Limits RateStatus Role Usage VectorForm external "
            "local_path operational record_rate record_request record_usage"
        ),
    },
)


def __getattr__(name: str) -> Any:
    if name in __all__:
        return _find(name)
    from embow.plugins import _known as known

    provider = known.provider_of_class(name)
    if provider is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import inspect

    from embow.embeddings._registry import get_registry
    from embow.errors import (
        ProviderClassError,
        ProviderNotFoundError,
        ProviderNotInstalledError,
    )

    try:
        return get_registry().get(provider)
    except (ProviderNotFoundError, ProviderNotInstalledError) as exc:
        # For "from embow.embeddings import X", Python itself would say less than we know.
        importing = inspect.stack(0)[1].function == "_handle_fromlist"
        error = ProviderNotInstalledError if importing else ProviderClassError
        raise error(str(exc)) from None
