"""The ``embow`` command. What a subcommand does is imported when it is used.

Plugins add commands of their own; none of them can take the place of one of these.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from types import FrameType

import embow
from embow._cli.text import columns, print_anything, terminal_width, wrapped
from embow.errors import EmbowError
from embow.plugins import CommandSpec
from embow.plugins import _discovery as discovery

COMMANDS = (
    CommandSpec(
        id="providers",
        target="embow._cli.providers:add_arguments",
        summary="list embedding providers and their state",
    ),
    CommandSpec(
        id="provider",
        target="embow._cli.provider:add_arguments",
        summary="show the settings of one provider",
    ),
    CommandSpec(
        id="check",
        target="embow._cli.check:add_arguments",
        summary="read all of a database and report damage",
    ),
)
_OWN = {command.id: command for command in COMMANDS}
_INTERRUPTED = 130


def console() -> int:
    """Run the command line as a program of its own, which Control-C ends."""
    signal.signal(signal.SIGINT, _interrupted)
    return main()


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
    print_anything(sys.stdout)
    print_anything(sys.stderr)
    try:
        parser = build_parser("".join(arguments[:1]))
        parsed = parser.parse_args(arguments)
        if parsed.command is None:
            parser.print_help()
            return 0
        status: int = parsed.run(parsed)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        _discard_output()
        return 0
    except (EmbowError, OSError) as exc:
        lines = f"embow {arguments[0]}: {exc}".splitlines()
        print("\n".join(wrapped(line, terminal_width()) for line in lines), file=sys.stderr)
        return 1
    return status


def build_parser(wanted: str = "") -> argparse.ArgumentParser:
    """Return the parser, complete for the subcommand ``wanted`` only.

    Raises:
        PluginError: The command is a plugin's that cannot be used.
    """
    summaries = _summaries(wanted)
    parser = argparse.ArgumentParser(
        prog="embow",
        description="Embeddings as part of a table's schema.",
        epilog="\n".join(["commands:", *columns([(f"  {n}", s) for n, s in summaries.items()])]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"embow {embow.__version__}")
    subparsers = parser.add_subparsers(
        dest="command", metavar="COMMAND", help="what to do; embow COMMAND -h says more"
    )
    for name in summaries:
        subparser = subparsers.add_parser(name)
        if name == wanted:
            discovery.load_target(_spec(name))(subparser)
    return parser


def _summaries(wanted: str) -> Mapping[str, str]:
    """Return a line on each command; plugins are asked only where ``wanted`` is none of ours."""
    own = {command.id: command.summary for command in COMMANDS}
    if wanted in own:
        return own
    added = {item.id: item.summary for item in discovery.catalog().of(CommandSpec)}
    return added | own


def _spec(name: str) -> CommandSpec:
    if name in _OWN:
        return _OWN[name]
    spec = discovery.find(CommandSpec, name).spec
    assert spec is not None, "what can be imported has a spec"
    return spec


def _interrupted(number: int, frame: FrameType | None) -> None:
    """Stop in good order, which waits for the calls that run; a second Control-C does not.

    Nothing is cleaned up then: what a table shows is whole at every moment, and a model that is
    still computing would crash while the interpreter takes itself apart.
    """
    signal.signal(number, lambda *_: os._exit(_INTERRUPTED))
    print("Stopping; Control-C again stops at once.", file=sys.stderr)
    raise KeyboardInterrupt


def _discard_output() -> None:
    """Point standard output nowhere: its reader went away, and exit will flush what is left."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
