"""The plain records a plugin hands to the core: a kind for each hook. They import nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

API_VERSION = 1
"""Raised when a change to the contracts breaks existing plugins."""

_ID = re.compile(r"[a-z0-9][a-z0-9._-]*\Z")
_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*\Z")


@dataclass(frozen=True, slots=True)
class Sdk:
    """A package that what is plugged in calls.

    Attributes:
        module: Import name whose presence is checked without importing it.
        requirement: What to hand to ``pip install``, such as ``"openai>=1.109,<4"``.
        hint: Complete sentence to show instead of the usual install command.
    """

    module: str
    requirement: str
    hint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """One thing that a plugin offers, described without importing it.

    Attributes:
        kind: What it is, for messages.
        id: Name it is asked for by: lower case, digits, ``- . _``.
        target: ``"package.module:name"`` of what does the work.
        summary: One line for listings.
        sdk: Packages it calls; all must be importable for state *ready*.
        api: Contract version the plugin was written for.
        aliases: Other names it answers to.
    """

    kind: ClassVar[str] = "plugin"

    id: str
    target: str
    summary: str = ""
    sdk: tuple[Sdk, ...] = ()
    api: int = API_VERSION
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        what = f"{self.kind.capitalize()} {self.id!r}"
        if not _ID.match(self.id):
            raise ValueError(f"{what}: an id must be lower-case letters, digits, '-', '.' or '_'.")
        if not _TARGET.match(self.target):
            raise ValueError(f"{what}: target {self.target!r} must read 'package.module:name'.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSpec(Spec):
    """One embedding provider, asked for with ``get_registry().get(id)``.

    ``target`` names the class, an EmbeddingFunction.

    Attributes:
        modalities: What can be embedded: ``text``, ``image``, ``audio``, ``video`` ...
        remote: Whether calls leave the machine.
        credentials: Environment variables read when no key is given.
        licence: Shown in listings where the model or SDK restricts use.
    """

    kind: ClassVar[str] = "provider"

    modalities: tuple[str, ...] = ("text",)
    remote: bool = False
    credentials: tuple[str, ...] = ()
    licence: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSpec(Spec):
    """One storage engine. ``target`` names the class, an Engine.

    Attributes:
        schemes: URI schemes it serves; ``""`` stands for a plain path.
    """

    kind: ClassVar[str] = "engine"

    schemes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankerSpec(Spec):
    """One way to put the rows of a result into a better order.

    ``target`` names the class, a Reranker.

    Attributes:
        remote: Whether calls leave the machine.
        credentials: Environment variables read when no key is given.
    """

    kind: ClassVar[str] = "reranker"

    remote: bool = False
    credentials: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LoaderSpec(Spec):
    """One reader of files. ``target`` names the class.

    Attributes:
        suffixes: Endings of the files it reads, such as ``".pdf"``.
        media_types: Media types it reads, such as ``"application/pdf"``.
    """

    kind: ClassVar[str] = "loader"

    suffixes: tuple[str, ...] = ()
    media_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexSpec(Spec):
    """One kind of index. ``target`` names the class, an ``embow.engines.indexes.Library``."""

    kind: ClassVar[str] = "index"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSpec(Spec):
    """One command of ``embow``, by its ``id``.

    ``target`` names a function that takes the command's ``argparse.ArgumentParser``, adds the
    arguments, and sets the default ``run``: called with the parsed arguments, it returns the exit
    status.
    """

    kind: ClassVar[str] = "command"
