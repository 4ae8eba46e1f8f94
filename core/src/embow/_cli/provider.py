"""``embow provider NAME``: the settings of one provider."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict

from embow._cli.providers import as_json
from embow._cli.text import GAP, columns, terminal_width, wrapped
from embow.embeddings._describe import Setting, describe_settings
from embow.embeddings._registry import get_registry
from embow.errors import PluginError
from embow.plugins import ProviderSpec
from embow.plugins import _discovery as discovery
from embow.plugins._listing import ListedProvider
from embow.plugins._loader import State

_KINDS = (
    ("identity", "Settings that change the vectors, kept with the table:"),
    ("operational", "Settings that do not change the vectors:"),
    ("secret", "Secrets, never stored:"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Complete the parser of ``embow provider``."""
    parser.set_defaults(run=run)
    parser.description = "Show what a provider is, what it needs and which settings it takes."
    parser.add_argument("name", help="provider id, such as openai")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")


def run(args: argparse.Namespace) -> int:
    """Print the description. Returns the exit status: 1 where the provider cannot be used.

    Raises:
        ProviderNotFoundError: Nothing is known under that name.
    """
    listed = discovery.catalog().find(ProviderSpec, args.name)
    if listed is None:
        listed = discovery.find(ProviderSpec, args.name)
    usable = listed.state in (State.READY, State.NEEDS_SDK)
    reason, settings = "", []
    if usable:
        try:
            settings = describe_settings(get_registry().get(args.name))
        except PluginError as exc:
            usable, reason = False, str(exc)
    if args.json:
        found = {"reason": reason} if reason else {}
        described = [asdict(setting) for setting in settings]
        print(json.dumps({**as_json(listed), **found, "settings": described}, indent=2))
    else:
        width = terminal_width()
        parts = ["", reason] if reason else settings_text(settings, width)
        print("\n".join([*overview(listed, width), *parts]))
    return 0 if usable else 1


def overview(listed: ListedProvider, width: int) -> list[str]:
    """Return what a provider is and what it needs."""
    spec = listed.spec
    title = f"{listed.id}: {listed.summary}" if listed.summary else listed.id
    version = f"{listed.distribution} {listed.version or ''}".strip()
    facts = [("state", str(listed.state)), ("distribution", version)]
    if spec is not None:
        facts += [
            ("class", spec.target),
            ("embeds", ", ".join(spec.modalities)),
            ("runs", "on the provider's servers" if spec.remote else "on this machine"),
            ("needs", ", ".join(sdk.requirement for sdk in spec.sdk)),
            ("reads", ", ".join(spec.credentials)),
            ("licence", spec.licence or ""),
        ]
    lines = [wrapped(title, width), *columns([(f"  {k}", v) for k, v in facts if v])]
    advice = " ".join(part for part in (listed.reason, listed.hint) if part)
    return [*lines, "", wrapped(advice, width)] if advice else lines


def settings_text(settings: Sequence[Setting], width: int) -> list[str]:
    """Return the settings, grouped by what they do to the vectors."""
    lines = []
    for kind, heading in _KINDS:
        group = [setting for setting in settings if setting.kind == kind]
        if group:
            lines += ["", heading]
        for setting in group:
            default = "required" if setting.default is None else f"= {setting.default}"
            head = f"{GAP}{setting.name}: {setting.type}{GAP}{default}"
            lines += [head, wrapped(setting.description, width, GAP * 3)]
    return lines
