"""Commands that plugins add to ``embow``."""

from __future__ import annotations

from pathlib import Path

import pytest

from distributions import install, run
from embow._cli import main
from embow.plugins import State
from embow.plugins._known import COMMANDS
from embow.plugins._listing import missing

PLUGIN = """
    from embow.plugins import CommandSpec, hookimpl

    @hookimpl
    def embow_commands():
        return [
            CommandSpec(id={id!r}, target="greeting:add_arguments", summary="say hello", api={api})
        ]
"""

GREETING = """
    def add_arguments(parser):
        parser.add_argument("name")
        parser.set_defaults(run=lambda args: print("hello", args.name) or 3)
"""


def add_command(site: Path, command: str = "greet", api: int = 1) -> Path:
    """Install a plugin with one command."""
    modules = {"greet_plugin": PLUGIN.format(id=command, api=api), "greeting": GREETING}
    return install(site, "embow-greet", modules, {"greet": "greet_plugin"})


def test_a_command_of_a_plugin_runs(tmp_path: Path) -> None:
    """It gets its arguments, and its status is the status of ``embow``."""
    done = run(add_command(tmp_path), "-m", "embow", "greet", "you")
    assert (done.returncode, done.stdout, done.stderr) == (3, "hello you\n", "")


def test_a_command_of_a_plugin_is_in_the_help(tmp_path: Path) -> None:
    """All commands are listed, whoever brings them."""
    shown = run(add_command(tmp_path), "-m", "embow").stdout
    assert "  greet       say hello\n" in shown
    assert "  providers " in shown


def test_no_plugin_takes_the_place_of_a_command(tmp_path: Path) -> None:
    """``embow providers`` stays what it is."""
    done = run(add_command(tmp_path, "providers"), "-m", "embow", "providers")
    assert done.returncode == 0
    assert done.stdout.startswith("PROVIDER ")


def test_a_command_that_cannot_be_used_says_why(tmp_path: Path) -> None:
    """One of another interface ends with a sentence and status 1."""
    done = run(add_command(tmp_path, api=99), "-m", "embow", "greet", "you")
    assert done.returncode == 1
    assert done.stderr.startswith("embow greet: Command 'greet' is incompatible. Written for")


def test_a_command_whose_plugin_is_switched_off_says_so(tmp_path: Path) -> None:
    """The demo of embow-onnx is known also where its plugin may not be asked."""
    env = {"EMBOW_DISABLE_PLUGINS": "embow-onnx"}
    done = run(tmp_path, "-m", "embow", "demo", env=env)
    assert done.returncode == 1
    assert "EMBOW_DISABLE_PLUGINS" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_command_whose_plugin_is_missing_says_what_to_install() -> None:
    """The demo is listed as not installed, with the command that brings it."""
    demo, _ = missing(COMMANDS, [], [])
    assert (demo.id, demo.state) == ("demo", State.NOT_INSTALLED)
    assert demo.reason == "It comes with embow-onnx."
    assert "pip install ./core ./plugins/embow-onnx" in demo.hint


def test_an_unknown_command_names_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt command ends with status 2 and the list."""
    with pytest.raises(SystemExit) as ended:
        main(["dmo"])
    assert ended.value.code == 2
    assert "demo" in capsys.readouterr().err
