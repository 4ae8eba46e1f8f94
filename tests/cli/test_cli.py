"""The ``embow`` command: what it prints, and how it ends."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import embow
from distributions import PROVIDER, evaluate, install, install_provider, listed, run
from embow._cli import COMMANDS, main
from embow._cli.providers import render
from embow.plugins import State
from embow.plugins._listing import Listed

REMOTE_PLUGIN = """
    from embow.plugins import ProviderSpec, Sdk, hookimpl

    @hookimpl
    def embow_providers():
        return [
            ProviderSpec(
                id="far",
                target="far_provider:Provider",
                summary="Vectors from afar",
                sdk=(Sdk("far_sdk", "far-sdk>=2"),),
                remote=True,
                credentials=("FAR_API_KEY",),
                licence="non-commercial",
            )
        ]
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return a folder with a local provider and a remote one whose SDK is missing."""
    modules = {"far_plugin": REMOTE_PLUGIN, "far_provider": PROVIDER}
    install(tmp_path / "site", "embow-far", modules, {"far": "far_plugin"}, version="3.1")
    return install_provider(tmp_path / "site", "embow-near", "near")


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """``--version`` gives the core's version."""
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"embow {embow.__version__}\n"


def test_no_command_prints_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a command, all are listed with a line each."""
    assert main([]) == 0
    out = capsys.readouterr().out
    for command in COMMANDS:
        assert f"  {command.id} " in out
        assert command.summary in out


@pytest.mark.parametrize("command", ["demo", *(command.id for command in COMMANDS)])
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each subcommand explains itself."""
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"usage: embow {command}" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["no-such-command"], ["providers", "--jsn"], ["provider"]])
def test_wrong_arguments_end_with_two(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Arguments that cannot be understood end with status 2 and the usage."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: embow" in capsys.readouterr().err


def test_error_is_one_sentence_without_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    """An error of embow is printed as it reads, with status 1."""
    assert main(["provider", "opnai"]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("embow provider: No provider named 'opnai'. Did you mean")
    assert captured.out == ""


def test_interrupt_ends_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Control-C ends with the usual status and no traceback."""

    def interrupt(args: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("embow._cli.providers.run", interrupt)
    assert main(["providers"]) == 130


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent another way")
@pytest.mark.parametrize("presses", [1, 2])
def test_control_c_ends_a_command(presses: int) -> None:
    """Once it waits for what runs, twice it does not: both end with 130 and no traceback."""
    process = subprocess.Popen(
        [sys.executable, "-c", PATIENT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == "computing\n"
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "waiting for what runs\n"
    if presses == 2:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    rest, error = process.communicate("go on\n" if presses == 1 else None, timeout=60)
    assert process.returncode == 130
    assert rest == ("cleaned up\n" if presses == 1 else "")
    assert error == "Stopping; Control-C again stops at once.\n"


PATIENT = """
import sys, threading
import embow._cli.providers as providers
from embow._cli import console

def run(args):
    try:
        print("computing", flush=True)
        threading.Event().wait()
    finally:
        print("waiting for what runs", flush=True)
        sys.stdin.readline()
        print("cleaned up", flush=True)

providers.run = run
sys.argv = ["embow", "providers"]
sys.exit(console())
"""


def test_reader_that_goes_away_is_no_error() -> None:
    """Output piped into ``head`` ends without a traceback."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": ""},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    process.stdin.close()
    error = process.stderr.read()
    process.stderr.close()
    assert (process.wait(60), error) == (0, b"")


WRITER = """
import sys
import embow._cli.providers as providers
from embow._cli import main

def run(args):
    print("a line that is read", flush=True)
    sys.stdin.read()
    print("a line that nobody reads")
    return 0

providers.run = run
sys.exit(main(["providers"]))
"""


def test_installed_command_runs() -> None:
    """The console script of the distribution is the same command."""
    script = Path(sys.executable).with_name("embow")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"embow {embow.__version__}\n"


# -- providers ----------------------------------------------------------------------------


def test_table_fits_eighty_columns(site: Path) -> None:
    """Every line but a command to copy fits a narrow terminal."""
    out = run(site, "-m", "embow", "providers", env={"COLUMNS": "80"}).stdout
    assert [line for line in out.splitlines() if len(line) > 80] == []
    assert out.startswith("PROVIDER ")


def test_table_names_what_is_missing(site: Path) -> None:
    """What a provider lacks stands under the table with the command that mends it."""
    out = run(site, "-m", "embow", "providers").stdout
    advice = "far: Package 'far_sdk' is not installed.\n  Run: pip install \"far-sdk>=2\".\n"
    assert advice in out


def test_wide_terminal_has_one_line_a_provider() -> None:
    """Where there is room, the summary stands beside."""
    rows = [Listed("a", State.READY, "Short", "embow-a", "1.0")]
    assert render(rows, 120).splitlines() == [
        "PROVIDER  STATE  DISTRIBUTION  SUMMARY",
        "a         ready  embow-a 1.0   Short",
    ]
    assert render(rows, 30).splitlines()[2] == "  Short"


def test_json_holds_everything(site: Path) -> None:
    """``--json`` gives each provider with all that is known of it."""
    assert listed(site)["far"] == {
        "id": "far",
        "state": "needs sdk",
        "distribution": "embow-far",
        "version": "3.1",
        "summary": "Vectors from afar",
        "modalities": ["text"],
        "remote": True,
        "credentials": ["FAR_API_KEY"],
        "licence": "non-commercial",
        "reason": "Package 'far_sdk' is not installed.",
        "hint": 'Run: pip install "far-sdk>=2".',
    }


def test_listing_imports_neither_provider_nor_sdk(site: Path) -> None:
    """``embow providers`` runs without the provider's class, numpy or pyarrow."""
    code = """
        import sys
        from embow._cli import main
        sys.stdout.write = lambda text: len(text)
        main(["providers"])
        del sys.stdout.write
        watched = {"near_provider", "embow_near_provider", "far_provider", "numpy", "pyarrow"}
        answer = sorted(watched & sys.modules.keys())
    """
    assert evaluate(site, code) == []


# -- provider -----------------------------------------------------------------------------


def test_provider_shows_needs_and_settings(site: Path) -> None:
    """One provider is shown with what it needs, also where its SDK is missing."""
    done = run(site, "-m", "embow", "provider", "far")
    assert done.returncode == 0
    for part in (
        "far: Vectors from afar",
        "needs sdk",
        "embow-far 3.1",
        "on the provider's servers",
        "FAR_API_KEY",
        "non-commercial",
        'pip install "far-sdk>=2"',
        "max_retries: int  = 7",
    ):
        assert part in done.stdout


def test_provider_as_json_has_every_setting(site: Path) -> None:
    """``--json`` gives what ``providers --json`` gives, and the settings."""
    done = run(site, "-m", "embow", "provider", "far", "--json")
    shown = json.loads(done.stdout)
    settings = shown.pop("settings")
    assert shown == listed(site)["far"]
    assert {"name": "max_retries", "type": "int", "default": "7"}.items() <= settings[-1].items()


def test_a_long_error_fits_the_terminal(site: Path) -> None:
    """An error that lists what there is takes as many lines as it needs."""
    error = run(site, "-m", "embow", "provider", "opnai", env={"COLUMNS": "60"}).stderr
    assert max(map(len, error.splitlines())) <= 60
    assert "Did you mean 'openai'?" in " ".join(error.split())


def test_provider_that_cannot_be_used_ends_with_one(site: Path) -> None:
    """A disabled provider is shown with the reason, and scripts can tell."""
    env = {"EMBOW_DISABLE_PLUGINS": "near"}
    done = run(site, "-m", "embow", "provider", "near", env=env)
    assert done.returncode == 1
    assert "Take 'near' out of EMBOW_DISABLE_PLUGINS" in " ".join(done.stdout.split())


def test_provider_whose_class_is_broken_says_why(tmp_path: Path) -> None:
    """A class that fails to import is shown with the cause, and no traceback."""
    site = install_provider(tmp_path, "embow-near", "near")
    (site / "embow_near_provider.py").write_text("raise RuntimeError('boom')")
    done = run(site, "-m", "embow", "provider", "near")
    assert done.returncode == 1
    assert "RuntimeError: boom" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp437"])
@pytest.mark.parametrize(
    "arguments", [[], ["providers"], ["provider", "onnx"], ["provider", "\u2500\u65e5\u2026\udcff"]]
)
def test_no_command_fails_for_the_outputs_encoding(
    arguments: list[str], encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a terminal cannot show is shown by plain signs, in output and in errors."""
    streams = {name: io.BytesIO() for name in ("stdout", "stderr")}
    for name, stream in streams.items():
        monkeypatch.setattr(sys, name, io.TextIOWrapper(stream, encoding, write_through=True))
    status = main(arguments)
    told = streams["stderr"].getvalue().decode(encoding)
    assert status == (1 if "onnx" not in arguments[1:] and arguments[1:] else 0)
    assert ("?" in told) == (status == 1)
