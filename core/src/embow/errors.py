"""Every exception embow raises, in one tree.

```
EmbowError
├── ConfigurationError (ValueError)        an argument, variable or setting is wrong
│   ├── VariableNotFoundError              "$var:NAME" has no value
│   ├── MissingCredentialError             no key in argument, variable or environment
│   └── UntrustedError                     a table asks for what only this process may decide
├── PluginError
│   ├── ProviderNotFoundError (KeyError)   nothing known under that name
│   │   └── ProviderClassError (AttributeError)  a class of embow.embeddings that is not here
│   ├── ProviderNotInstalledError (ImportError)  known, but its distribution is missing
│   ├── MissingSdkError (ImportError)      installed, but the vendor's package is missing
│   ├── ProviderConflictError              two distributions claim one name
│   └── PluginBrokenError                  disabled, incompatible or failing to import
├── SchemaError (ValueError)
│   ├── UnsupportedTypeError (TypeError)   a Python type that Arrow cannot hold
│   ├── AmbiguousBindingError              which source feeds which vector is not clear
│   └── IdentityMismatchError              the column was written by another model
├── DataError (ValueError)
│   ├── MissingColumnError                 a required column is not in the rows
│   ├── UnknownColumnError                 a column the table does not have
│   ├── BadVectorError                     wrong length, NaN, infinite
│   ├── DuplicateKeyError                  two rows of one primary key
│   └── PredicateError                     a filter that cannot be parsed or typed
├── TableError
│   ├── TableNotFoundError (ValueError)
│   ├── TableExistsError (ValueError)
│   ├── VersionNotFoundError (ValueError)  a version or tag that is not there, or no longer
│   ├── TagError (ValueError)              a tag that exists already, or has no such name
│   └── CheckedOutError (ValueError)       a write while an earlier version is checked out
├── EngineError
│   ├── StorageError (OSError)             unwritable folder, full disk, damaged file
│   ├── CommitConflictError                another writer changed the same rows first
│   ├── StagedGoneError                    rows were staged, and removed before their commit
│   └── UnsupportedOperationError (NotImplementedError)  a capability the engine lacks
├── BudgetExceededError                    the next request would cost more than budget= allows
└── EmbeddingError                         a provider call failed for good
    ├── AuthenticationError
    ├── QuotaExceededError
    ├── RateLimitError
    ├── TransientError
    ├── InputTooLongError
    ├── RequestTooLargeError
    ├── BadInputError
    ├── PermanentError
    └── BadOutputError                     count, dimension, NaN or zero vectors returned
```
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any


def near_name(name: str, known: Iterable[str]) -> str:
    """Return `` Did you mean '...'?`` for a misspelt name, or nothing where none is near."""
    import difflib

    by_folded = {each.casefold(): each for each in known}
    close = difflib.get_close_matches(name.casefold(), by_folded, n=1)
    return f" Did you mean '{by_folded[close[0]]}'?" if close else ""


class EmbowError(Exception):
    """Base of every error embow raises on purpose."""


class ConfigurationError(EmbowError, ValueError):
    """An argument, a variable or a setting is wrong."""


class VariableNotFoundError(ConfigurationError):
    """A ``$var:NAME`` reference has neither a value nor a default."""


class MissingCredentialError(ConfigurationError):
    """A provider needs a key and found none in its argument, variable or environment."""


class UntrustedError(ConfigurationError):
    """A table names an address, a variable, a folder or code that this process did not allow."""


class PluginError(EmbowError):
    """A provider or engine plugin cannot be used."""


class ProviderNotFoundError(PluginError, KeyError):
    """No provider, installed or known, has that name."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class ProviderClassError(ProviderNotFoundError, AttributeError):
    """A provider's class cannot be had from the module; ``hasattr`` is answered ``False``."""


class ProviderNotInstalledError(PluginError, ImportError):
    """The provider is known but its distribution is not installed."""


class MissingSdkError(PluginError, ImportError):
    """The provider is installed but a package it calls is not."""


class ProviderConflictError(PluginError):
    """Two distributions, or two classes, claim the same provider name."""


class PluginBrokenError(PluginError):
    """The plugin is disabled, made for another core, or fails to import."""


class SchemaError(EmbowError, ValueError):
    """A schema cannot be built, or does not fit the table."""


class UnsupportedTypeError(SchemaError, TypeError):
    """A Python type has no Arrow counterpart."""


class AmbiguousBindingError(SchemaError):
    """It is not clear which source column feeds which vector column."""


class IdentityMismatchError(SchemaError):
    """A vector column was written by a model other than the one offered."""


class DataError(EmbowError, ValueError):
    """Rows or a query do not fit the table."""


class MissingColumnError(DataError):
    """A column that must have a value is missing from the rows."""


class UnknownColumnError(DataError):
    """The rows or the query name a column the table does not have."""


class BadVectorError(DataError):
    """A vector has the wrong length or holds NaN or infinity."""


class DuplicateKeyError(DataError):
    """Two rows would have the same primary key."""


class PredicateError(DataError):
    """A filter cannot be parsed, names an unknown column or compares unlike types."""


class TableError(EmbowError):
    """A table cannot be created or opened."""


class TableNotFoundError(TableError, ValueError, FileNotFoundError):
    """No table has that name."""


class TableExistsError(TableError, ValueError):
    """A table of that name is already there."""


class VersionNotFoundError(TableError, ValueError):
    """The table has no such version or tag, or no longer."""


class TagError(TableError, ValueError):
    """A tag is there already, is not there, or has a name that a tag cannot have."""


class CheckedOutError(TableError, ValueError):
    """The table cannot be changed while an earlier version is checked out."""


class EngineError(EmbowError):
    """A storage engine could not do what was asked."""


class StorageError(EngineError, OSError):
    """The folder is not writable, the disk is full, or a file is damaged."""


class CommitConflictError(EngineError):
    """Another writer changed the same rows or table first; read again and retry."""


class StagedGoneError(EngineError):
    """Rows were written but not committed before their lease ended, and were removed."""


class UnsupportedOperationError(EngineError, NotImplementedError):
    """The engine, or the reranker, does not have this capability."""


class TimeLimitError(EmbowError, TimeoutError):
    """A call took longer than its ``time_limit``. Nothing was committed."""


class BudgetExceededError(EmbowError):
    """The next request would cost more tokens than the call was given. None was sent for it."""


class EmbeddingError(EmbowError):
    """A provider call failed and will not be tried again.

    Attributes:
        provider: Provider id, such as ``"openai"``.
        model: Model name, or ``None`` where the function has none.
        attempts: Calls made, the first included.
        row: Zero-based position of the first failing input, where it is known.
        retry_after: Seconds the provider asked to wait, where it said so.
    """

    def __init__(
        self,
        message: str,
        *,
        provider: str | None = None,
        model: str | None = None,
        attempts: int = 1,
        row: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.provider = provider
        self.model = model
        self.attempts = attempts
        self.row = row
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild_embedding_error, (type(self), str(self), self.__dict__.copy())


def _rebuild_embedding_error(
    cls: type[EmbeddingError], message: str, state: dict[str, Any]
) -> EmbeddingError:
    error = cls(message)
    error.__dict__.update(state)
    return error


class AuthenticationError(EmbeddingError):
    """The provider refused the key or its permissions. Never retried."""


class QuotaExceededError(EmbeddingError):
    """The account has no credit left. Never retried."""


class RateLimitError(EmbeddingError):
    """The provider asked to slow down, and kept asking."""


class TransientError(EmbeddingError):
    """The network or the server failed, and kept failing."""


class InputTooLongError(EmbeddingError):
    """One input is longer than the model accepts."""


class RequestTooLargeError(EmbeddingError):
    """A request holds more than the provider accepts in one call."""


class BadInputError(EmbeddingError):
    """The provider refused one input, or several.

    Attributes:
        others: What was wrong with further inputs of the same call, by position, where a provider
            knows them all at once. ``row`` is the position of this one.
    """

    others: Mapping[int, BadInputError] = MappingProxyType({})


class PermanentError(EmbeddingError):
    """The provider refused the call, and would refuse it again."""


class BadOutputError(EmbeddingError):
    """The provider answered with the wrong count, dimension, or unusable numbers."""
