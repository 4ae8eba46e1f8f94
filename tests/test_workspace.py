"""The agreements between the folders of this repository."""

from __future__ import annotations

import ast
import configparser
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from embow.plugins._known import COMMANDS, INDEXES, KNOWN, Known

ROOT = Path(__file__).parents[1]
MODULE_CEILING = 500
FOLDERS = {"benchmarks", "core", "docs", "plugins", "tests"}


def load(path: Path) -> dict[str, Any]:
    """Return a TOML file as a dictionary."""
    return tomllib.loads(path.read_text(encoding="utf-8"))


WORKSPACE = load(ROOT / "pyproject.toml")
CORE = load(ROOT / "core" / "pyproject.toml")["project"]
PLUGINS = {p.parent.name: load(p) for p in sorted(ROOT.glob("plugins/*/pyproject.toml"))}
MEMBERS = {"core": load(ROOT / "core" / "pyproject.toml"), **PLUGINS}
HEAVY = set(WORKSPACE["tool"]["uv"]["exclude-dependencies"])
ENGINES = {"embow-lance"}
"""Plugins that bring a storage engine, and no provider."""
LIBRARIES = {"embow-lancedb", "embow-text"}
"""Packages beside the core that plug nothing in: embow lists nothing of theirs."""

each_plugin = pytest.mark.parametrize("folder", PLUGINS)
each_member = pytest.mark.parametrize("member", MEMBERS)


def needs_torch(folder: str) -> bool:
    """Return whether a plugin's SDK stays out of the lock."""
    requirements = map(Requirement, PLUGINS[folder]["project"]["dependencies"])
    return any(r.name in HEAVY for r in requirements)


def stands_apart(folder: str) -> bool:
    """Return whether a plugin's SDK is too large for the environment of the default tests."""
    return needs_torch(folder) or folder in ENGINES


def tox_environments() -> set[str]:
    """Return the names in tox.ini's ``env_list``."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "tox.ini")
    return set(parser["tox"]["env_list"].split())


def tracked_files() -> list[Path]:
    """Return what git tracks or would track, or every file of a tree that is not a clone."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listing.returncode:
        pytest.skip("not a git clone")
    return [path for line in listing.stdout.splitlines() if (path := ROOT / line).is_file()]


def test_every_plugin_folder_has_a_project() -> None:
    """A folder below ``plugins`` without a pyproject.toml would be left out silently."""
    folders = {p.name for p in (ROOT / "plugins").iterdir() if p.is_dir() and p.name[0] != "."}
    assert folders == set(PLUGINS)


def test_the_known_table_and_the_plugin_folders_agree() -> None:
    """Each folder has a known provider, command or kind of index, or an engine, or is for these."""
    known = {known.distribution for known in (*KNOWN, *COMMANDS, *INDEXES)}
    assert known | ENGINES | LIBRARIES == set(PLUGINS)


@each_plugin
def test_a_plugin_is_named_after_its_folder(folder: str) -> None:
    """Folder, distribution and module carry one name."""
    project = PLUGINS[folder]["project"]
    module = folder.replace("-", "_")
    assert project["name"] == folder
    assert (ROOT / "plugins" / folder / "src" / module / "py.typed").is_file()


@each_plugin
def test_a_plugin_is_part_of_the_workspace(folder: str) -> None:
    """A plugin is a source of the workspace; ``uv sync`` installs it, an engine when asked."""
    uv = WORKSPACE["tool"]["uv"]
    groups = WORKSPACE["dependency-groups"]
    light = WORKSPACE["project"]["dependencies"]
    apart = groups["torch" if needs_torch(folder) else "engines"]
    assert uv["sources"][folder] == {"workspace": True}
    assert folder in (apart if stands_apart(folder) else light)


@each_plugin
def test_a_light_plugin_is_in_the_default_test_run(folder: str) -> None:
    """What the README's test command can run, it runs."""
    paths = WORKSPACE["tool"]["pytest"]["ini_options"]["testpaths"]
    assert (f"plugins/{folder}/tests" in paths) is not stands_apart(folder)


@each_plugin
def test_a_plugin_has_an_extra(folder: str) -> None:
    """``embow[openai]`` installs ``embow-openai``, in a range that holds its version."""
    extra = folder.removeprefix("embow-")
    [requirement] = map(Requirement, CORE["optional-dependencies"][extra])
    assert requirement.name == folder
    assert PLUGINS[folder]["project"]["version"] in requirement.specifier


@each_plugin
def test_a_plugin_is_in_the_extra_all(folder: str) -> None:
    """``embow[all]`` installs every plugin."""
    extras = {e for r in CORE["optional-dependencies"]["all"] for e in Requirement(r).extras}
    assert folder.removeprefix("embow-") in extras


@each_plugin
def test_a_plugin_has_a_tox_environment(folder: str) -> None:
    """``tox -e embow-openai`` tests ``plugins/embow-openai``."""
    assert folder in tox_environments()


@each_plugin
def test_a_plugin_accepts_this_core(folder: str) -> None:
    """The core's version is inside the range the plugin asks for, and the next minor is not."""
    requirements = map(Requirement, PLUGINS[folder]["project"]["dependencies"])
    [core] = [r for r in requirements if r.name == "embow"]
    major, minor = CORE["version"].split(".")[:2]
    assert CORE["version"] in core.specifier
    assert f"{major}.{int(minor) + 1}.0" not in core.specifier


@pytest.mark.parametrize("folder", sorted(ENGINES))
def test_an_engine_is_in_the_readme(folder: str) -> None:
    """The table of engines for readers names every engine and its folder."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.search(rf"^\| `\w+` \|.*`plugins/{folder}` \|$", readme, re.MULTILINE)


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.id)
def test_a_provider_is_in_the_readme_and_the_reference(known: Known) -> None:
    """The provider tables for readers name every provider."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    reference = (ROOT / "docs/reference/providers.md").read_text(encoding="utf-8")
    assert re.search(rf"^\| `{known.id}` \|.*`plugins/{known.distribution}`", readme, re.MULTILINE)
    assert f"\n## {known.id}\n" in reference


@each_member
def test_tool_settings_live_in_the_root(member: str) -> None:
    """A member configures its build and nothing else."""
    assert set(MEMBERS[member].get("tool", {})) <= {"hatch"}


@each_member
def test_every_dependency_has_a_floor(member: str) -> None:
    """A requirement without a lower bound would claim to run on releases nobody tried."""
    project = MEMBERS[member]["project"]
    groups = [project["dependencies"], *project.get("optional-dependencies", {}).values()]
    bare = [
        str(requirement)
        for group in groups
        for requirement in map(Requirement, group)
        if requirement.name != "embow"
        and not any(s.operator in (">=", "==", "~=") for s in requirement.specifier)
    ]
    assert bare == []


@each_plugin
def test_a_plugin_asks_for_no_older_packages_than_the_core(folder: str) -> None:
    """A floor below the core's was never installed, so nobody tried it."""
    core = {r.name: r.specifier for r in map(Requirement, CORE["dependencies"])}
    requirements = map(Requirement, PLUGINS[folder]["project"]["dependencies"])
    shared = {r.name: r.specifier for r in requirements if r.name in core}
    assert {name: floor for name, floor in shared.items() if floor != core[name]} == {}


@each_member
def test_a_member_is_described_for_an_index(member: str) -> None:
    """Authors and keywords are there, and no link in the readme leads out of the package."""
    folder = ROOT / ("core" if member == "core" else f"plugins/{member}")
    project = MEMBERS[member]["project"]
    assert project["authors"]
    assert project["keywords"] == sorted(project["keywords"])
    readme = (folder / project["readme"]).read_text(encoding="utf-8")
    assert re.findall(r"\]\((?!https?://|#)(.*?)\)", readme) == []


@each_member
def test_a_version_is_written_once(member: str) -> None:
    """The version stands in pyproject.toml; programs ask the installed distribution."""
    folder = ROOT / ("core" if member == "core" else f"plugins/{member}")
    sources = (path.read_text(encoding="utf-8") for path in folder.glob("src/**/*.py"))
    assert not any(MEMBERS[member]["project"]["version"] in source for source in sources)


@each_member
def test_a_member_carries_its_papers(member: str) -> None:
    """Each distribution has the licence, a readme, a changelog and the workspace's Python floor."""
    folder = ROOT / ("core" if member == "core" else f"plugins/{member}")
    project = MEMBERS[member]["project"]
    assert project["license"] == "Apache-2.0"
    assert project["requires-python"] == WORKSPACE["project"]["requires-python"]
    assert (folder / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert (folder / project["readme"]).is_file()
    changelog = (folder / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## \[?(Unreleased|{project['version']})", changelog, re.MULTILINE)


def test_the_top_level_holds_what_was_agreed() -> None:
    """Folders at the top are the five of the layout."""
    tops = {p.relative_to(ROOT).parts[0] for p in tracked_files()}
    assert {t for t in tops if (ROOT / t).is_dir() and not t.startswith(".")} <= FOLDERS


def test_every_benchmark_is_run_and_listed() -> None:
    """By the one command that runs them all, and in the table of the folder."""
    folder = ROOT / "benchmarks"
    scripts = {path.stem for path in folder.glob("*.py")} - {"all"}
    text = (folder / "all.py").read_text(encoding="utf-8")
    run = set(re.findall(r'Benchmark\(\s*"(\w+)"', text))
    table = (folder / "README.md").read_text(encoding="utf-8")
    assert scripts - run == set()
    assert {name for name in scripts if f"`{name}.py`" not in table} == set()


def test_modules_stay_small() -> None:
    """No module of the core or a plugin is longer than the ceiling."""
    sources = [p for pattern in ("core/src", "plugins/*/src") for p in ROOT.glob(pattern)]
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for source in sources
        for path in source.rglob("*.py")
    }
    assert {name: n for name, n in lengths.items() if n > MODULE_CEILING} == {}


def test_every_test_says_what_it_checks() -> None:
    """Each test function has a docstring."""
    silent = [
        f"{path.relative_to(ROOT)}: {node.name}"
        for pattern in ("tests/**/test_*.py", "plugins/*/tests/**/test_*.py")
        for path in ROOT.glob(pattern)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]
    assert silent == []


def test_plugins_import_only_public_names_of_the_core() -> None:
    """A plugin imports nothing whose path or name begins with an underscore."""
    private = []
    for path in ROOT.glob("plugins/*/src/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "embow":
                names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
                private += [f"{path.name}: {n}" for n in names if n.startswith("_")]
    assert private == []


def test_no_file_names_a_place_on_one_machine() -> None:
    """What is tracked reads the same on every machine: no absolute paths of its author."""
    places = re.compile(rb"(?<![\w.:/-])/(work|opt|root|tmp|home/\w+)/[\w.-]+")
    found = []
    for path in tracked_files():
        content = path.read_bytes()
        if b"\0" in content[:8192] or path == Path(__file__):
            continue
        found += [f"{path.relative_to(ROOT)}: {m[0].decode()}" for m in places.finditer(content)]
    assert found == []


def test_the_lock_names_only_pypi() -> None:
    """Packages in the lock come from PyPI or this workspace, whoever made the lock."""
    lock = load(ROOT / "uv.lock")
    kinds = {
        kind if kind in ("editable", "virtual") else f"{kind}={value}"
        for package in lock["package"]
        for kind, value in package["source"].items()
    }
    assert kinds == {"editable", "virtual", "registry=https://pypi.org/simple"}


def test_the_lock_holds_no_torch_and_no_cuda() -> None:
    """Setting the workspace up never fetches gigabytes."""
    names = {package["name"] for package in load(ROOT / "uv.lock")["package"]}
    assert not {name for name in names if name in HEAVY or name.startswith(("nvidia", "cuda"))}


def test_the_requirements_for_pip_follow_the_lock() -> None:
    """``requirements-dev.txt`` pins what the lock pins and installs the members in place."""
    locked = {(p["name"], p["version"]) for p in load(ROOT / "uv.lock")["package"]}
    lines = (ROOT / "requirements-dev.txt").read_text(encoding="utf-8").splitlines()
    wanted = {f"-e ./plugins/{f}" for f in PLUGINS if not stands_apart(f)} | {"-e ./core"}
    assert {line for line in lines if line.startswith("-e")} == wanted
    for line in lines:
        if "==" in line:
            name, _, version = line.partition(";")[0].strip().partition("==")
            assert (canonicalize_name(name), version) in locked


@pytest.mark.parametrize("name", ["demo", "tests"])
def test_the_readme_has_the_command_that_ci_runs(name: str) -> None:
    """``.ci/run`` takes each command from the one line below its mark."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = re.findall(rf"^<!-- command: {name} -->\n```sh\n(.*)\n```$", readme, re.MULTILINE)
    assert len(commands) == 1
    assert commands[0].startswith("python3 -m venv .venv && .venv/bin/pip install ")
