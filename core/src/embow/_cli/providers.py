"""``embow providers``: what can embed, and what is missing for the rest."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

from embow._cli.text import GAP, columns, terminal_width, wrapped
from embow.plugins import ProviderSpec
from embow.plugins import _discovery as discovery
from embow.plugins import _hints as hints
from embow.plugins._listing import ListedProvider
from embow.plugins._loader import State

_HEADER = ("PROVIDER", "STATE", "DISTRIBUTION")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Complete the parser of ``embow providers``."""
    parser.set_defaults(run=run)
    parser.description = (
        "List the embedding providers that are installed and those that could be. "
        "Nothing heavy is imported."
    )
    parser.add_argument("--json", action="store_true", help="print one JSON array instead")


def run(args: argparse.Namespace) -> int:
    """Print the list. Returns the exit status."""
    listed = discovery.catalog().of(ProviderSpec)
    if args.json:
        print(json.dumps([as_json(item) for item in listed], indent=2))
    else:
        print(render(listed, terminal_width()))
    return 0


def as_json(item: ListedProvider) -> dict[str, Any]:
    """Return a listed provider as plain JSON values."""
    spec = item.spec
    return {
        "id": item.id,
        "state": str(item.state),
        "distribution": item.distribution,
        "version": item.version,
        "summary": item.summary,
        "modalities": list(spec.modalities) if spec else None,
        "remote": spec.remote if spec else None,
        "credentials": list(spec.credentials) if spec else None,
        "licence": spec.licence if spec else None,
        "reason": item.reason,
        "hint": item.hint,
    }


def render(listed: Sequence[ListedProvider], width: int) -> str:
    """Return the table and, under it, what to do about what is not ready."""
    lines = columns([_HEADER, *(_cells(item) for item in listed)])
    table_width = max(map(len, lines))
    summaries = ["SUMMARY", *(item.summary for item in listed)]
    beside = table_width + len(GAP) + max(map(len, summaries)) <= width
    parts = []
    for line, summary in zip(lines, summaries, strict=True):
        if beside:
            parts.append(f"{line:{table_width}}{GAP}{summary}".rstrip())
        else:
            parts.append(line)
            if summary and summary != "SUMMARY":
                parts.append(wrapped(summary, width, GAP))
    return "\n".join([*parts, *_advice(listed, width)])


def _cells(item: ListedProvider) -> tuple[str, str, str]:
    distribution = " ".join(part for part in (item.distribution, item.version) if part)
    return item.id, str(item.state), distribution


def _advice(listed: Sequence[ListedProvider], width: int) -> list[str]:
    lines = []
    for item in listed:
        if item.state not in (State.READY, State.NOT_INSTALLED):
            lines += ["", wrapped(f"{item.id}: {item.reason}", width)]
            lines += [wrapped(item.hint, width, GAP)]
    if any(item.state is State.NOT_INSTALLED for item in listed):
        lines += ["", hints.install_any()]
    return lines
