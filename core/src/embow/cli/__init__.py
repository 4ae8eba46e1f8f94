"""The ``embow`` command. Each subcommand is a module of its own, imported when it is used."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NamedTuple

import embow
from embow.cli.text import columns
from embow.errors import EmbowError


class Command(NamedTuple):
    """One subcommand: its module has ``add_parser(subparsers)`` and ``run(args) -> int``."""

    name: str
    module: str
    help: str


COMMANDS = (
    Command("demo", "embow.cli.demo", "search the Python standard library by meaning"),
    Command("providers", "embow.cli.providers", "list embedding providers and their state"),
    Command("provider", "embow.cli.provider", "show the settings of one provider"),
    Command("new-plugin", "embow.cli.new_plugin", "start a distribution for a provider"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status.

    Args:
        argv: Arguments without the program's name; those of the process where left out.

    Returns:
        0 on success, 1 where something failed, 130 where the user interrupted.

    Raises:
        SystemExit: With 2 where the arguments are wrong, with 0 after help or the version.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = build_parser(arguments[:1])
    parsed = parser.parse_args(arguments)
    command = next((c for c in COMMANDS if c.name == parsed.command), None)
    if command is None:
        parser.print_help()
        return 0
    try:
        status: int = importlib.import_module(command.module).run(parsed)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        _discard_output()
        return 0
    except (EmbowError, OSError) as exc:
        print(f"embow {command.name}: {exc}", file=sys.stderr)
        return 1
    return status


def build_parser(wanted: Sequence[str] = ()) -> argparse.ArgumentParser:
    """Return the parser, complete for the subcommands in ``wanted`` only."""
    parser = argparse.ArgumentParser(
        prog="embow",
        description="Embeddings as part of a table's schema.",
        epilog="\n".join(["commands:", *columns([(f"  {c.name}", c.help) for c in COMMANDS])]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"embow {embow.__version__}")
    subparsers = parser.add_subparsers(
        dest="command", metavar="COMMAND", help="what to do; embow COMMAND -h says more"
    )
    for command in COMMANDS:
        if command.name in wanted:
            importlib.import_module(command.module).add_parser(subparsers)
        else:
            subparsers.add_parser(command.name)
    return parser


def _discard_output() -> None:
    """Point standard output nowhere: its reader went away, and exit will flush what is left."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
