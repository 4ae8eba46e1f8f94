"""The plain records a plugin hands to the core. Making one imports nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

API_VERSION = 1
"""Raised when a change to the contracts breaks existing plugins."""

_PROVIDER_ID = re.compile(r"[a-z0-9][a-z0-9._-]*\Z")
_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*\Z")


@dataclass(frozen=True, slots=True)
class Sdk:
    """A package a provider calls.

    Attributes:
        module: Import name whose presence is checked without importing it.
        requirement: What to hand to ``pip install``, such as ``"openai>=1.109,<4"``.
        hint: Complete sentence to show instead of the usual install command.
    """

    module: str
    requirement: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class ProviderSpec:
    """One embedding provider, described without importing it.

    Attributes:
        id: Name used in ``get_registry().get(id)``: lower case, digits, ``- . _``.
        target: ``"package.module:ClassName"`` of the EmbeddingFunction.
        summary: One line for listings.
        sdk: Packages the provider calls; all must be importable for state *ready*.
        modalities: What can be embedded: ``text``, ``image``, ``audio``, ``video`` ...
        remote: Whether calls leave the machine.
        credentials: Environment variables read when no key is given.
        licence: Shown in listings where the model or SDK restricts use.
        api: Contract version the plugin was written for.
        aliases: Other names the provider answers to.
    """

    id: str
    target: str
    summary: str = ""
    sdk: tuple[Sdk, ...] = ()
    modalities: tuple[str, ...] = ("text",)
    remote: bool = False
    credentials: tuple[str, ...] = ()
    licence: str | None = None
    api: int = API_VERSION
    aliases: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if not _PROVIDER_ID.match(self.id):
            raise ValueError(
                f"Provider id {self.id!r} must be lower-case letters, digits, '-', '.' or '_'."
            )
        if not _TARGET.match(self.target):
            raise ValueError(
                f"Provider {self.id!r}: target {self.target!r} must read "
                "'package.module:ClassName'."
            )


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """One storage engine, described without importing it.

    Attributes:
        id: Name of the engine.
        target: ``"package.module:ClassName"`` of the Engine.
        schemes: URI schemes it serves; ``""`` stands for a plain path.
        summary: One line for listings.
        sdk: Packages the engine calls.
        api: Contract version the plugin was written for.
    """

    id: str
    target: str
    schemes: tuple[str, ...]
    summary: str = ""
    sdk: tuple[Sdk, ...] = ()
    api: int = API_VERSION
