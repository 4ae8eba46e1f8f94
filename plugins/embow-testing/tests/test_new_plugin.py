"""``embow new-plugin``: a distribution that installs, is found and passes its own tests."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from distributions import install, listed, run
from embow._cli import main
from embow.errors import ConfigurationError
from embow_testing.new_plugin import render


def install_from_source(folder: Path, site: Path) -> None:
    """Install a rendered distribution as its pyproject.toml says, without a build backend."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    for path in (folder / "src").rglob("*"):
        if path.is_file():
            target = site / path.relative_to(folder / "src")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    points = project["entry-points"]["embow.plugins"]
    needs, version = project["dependencies"], project["version"]
    install(site, project["name"], {}, points, version=version, requires=needs)


def assert_passes_its_tests(folder: Path, site: Path) -> None:
    """Run the tests of a rendered distribution against what is installed in ``site``."""
    done = run(site, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder))
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


@pytest.mark.parametrize("name", ["acme", "acme-labs2"])
def test_rendered_plugin_passes_its_own_tests(tmp_path: Path, name: str) -> None:
    """Outside the repository and unchanged, it is listed and passes the conformance suite."""
    folder = render(name, tmp_path / "projects")
    install_from_source(folder, tmp_path / "site")
    found = listed(tmp_path / "site")[name]
    assert (found["state"], found["distribution"]) == ("ready", f"embow-{name}")
    assert_passes_its_tests(folder, tmp_path / "site")


def test_rendered_plugin_builds(tmp_path: Path) -> None:
    """The wheel its build backend makes holds the module, its marker and the entry point."""
    pytest.importorskip("hatchling", reason="the build backend of the rendered plugin is missing")
    folder = render("acme", tmp_path)
    code = f"from hatchling.build import build_wheel; build_wheel({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path / "site")
    assert {"embow_acme/provider.py", "embow_acme/py.typed"} <= names
    assert_passes_its_tests(folder, tmp_path / "site")


def test_broken_provider_fails_its_tests(tmp_path: Path) -> None:
    """The rendered tests are worth something: a wrong answer makes them fail."""
    folder = render("acme", tmp_path / "projects")
    provider = folder / "src" / "embow_acme" / "provider.py"
    provider.write_text(provider.read_text().replace("+= 1.0", "+= np.nan"))
    install_from_source(folder, tmp_path / "site")
    done = run(tmp_path / "site", "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder))
    assert done.returncode == 1
    assert "test_vectors_are_usable" in done.stdout


def test_rendered_files_have_no_gaps(tmp_path: Path) -> None:
    """Every placeholder is filled, in names and in text."""
    folder = render("acme", tmp_path)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.relative_to(folder).as_posix() for path in files} == {
        ".gitignore",
        "LICENSE",
        "README.md",
        "pyproject.toml",
        "src/embow_acme/__init__.py",
        "src/embow_acme/plugin.py",
        "src/embow_acme/provider.py",
        "src/embow_acme/py.typed",
        "tests/test_provider.py",
    }
    assert [path for path in files if "$" in path.read_text()] == []


def test_command_says_what_to_do_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command prints the folder and the commands to go on with."""
    assert main(["new-plugin", "acme", "--into", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert f"cd {tmp_path / 'embow-acme'}" in out
    assert "python -m pytest" in out


def test_a_distribution_name_stands_for_its_provider(tmp_path: Path) -> None:
    """``new-plugin embow-acme`` means acme; nobody wants embow-embow-acme."""
    assert main(["new-plugin", "embow-acme", "--into", str(tmp_path)]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["embow-acme"]


@pytest.mark.parametrize("name", ["Acme", "a_b", "1st", "a--b", "-a", "", "../up", "a.b"])
def test_unusable_name_is_refused(tmp_path: Path, name: str) -> None:
    """A name that could not be a module or a provider id is refused before anything is written."""
    with pytest.raises(ConfigurationError, match="cannot be a provider id"):
        render(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_name_of_a_known_provider_is_refused(tmp_path: Path) -> None:
    """A second plugin under a known name would be a conflict for its users."""
    with pytest.raises(ConfigurationError, match="Provider 'openai' exists: embow-openai"):
        render("openai", tmp_path)


def test_existing_folder_is_left_alone(tmp_path: Path) -> None:
    """Work that is there is never written over."""
    render("acme", tmp_path)
    with pytest.raises(ConfigurationError, match="already exists"):
        render("acme", tmp_path)
