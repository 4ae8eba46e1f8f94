"""``embow new-plugin NAME``: a complete distribution to start a provider from."""

from __future__ import annotations

import argparse
import importlib.resources
import re
from collections.abc import Iterator
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath
from string import Template

from packaging.version import Version

import embow
from embow.errors import ConfigurationError
from embow.plugins import KNOWN_BY_ID

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*\Z")
_SUFFIX = ".tmpl"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Complete the parser of ``embow new-plugin``."""
    parser.set_defaults(run=run)
    parser.description = (
        "Write a complete, installable distribution embow-NAME with a working provider and its "
        "tests."
    )
    parser.add_argument("name", help="provider id: lower-case words joined by '-', such as acme")
    parser.add_argument(
        "--into", type=Path, default=Path(), metavar="FOLDER", help="parent folder (here)"
    )


def run(args: argparse.Namespace) -> int:
    """Write the files and say what to do next. Returns the exit status."""
    name = args.name.removeprefix("embow-")
    folder = render(name, args.into)
    print(
        f"Wrote {folder}. Next:\n\n"
        f"  cd {folder}\n"
        "  pip install -e .\n"
        "  python -m pytest\n\n"
        f"Then put your model into src/{module_name(name)}/provider.py."
    )
    return 0


def render(name: str, parent: Path) -> Path:
    """Write the distribution ``embow-<name>`` into ``parent`` and return its folder.

    Raises:
        ConfigurationError: The name cannot be used, or the folder is already there.
    """
    if not _NAME.match(name):
        raise ConfigurationError(
            f"{name!r} cannot be a provider id: use lower-case words joined by '-', such as acme."
        )
    if name in KNOWN_BY_ID:
        raise ConfigurationError(
            f"Provider {name!r} exists: {KNOWN_BY_ID[name].distribution}. Choose another name."
        )
    folder = parent / f"embow-{name}"
    if folder.exists():
        raise ConfigurationError(f"{folder} already exists. Remove it or choose another name.")
    values = template_values(name)
    for path, text in _templates():
        target = folder / path.as_posix().replace("MODULE", values["module"])
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(Template(text).substitute(values), encoding="utf-8")
    return folder


def template_values(name: str) -> dict[str, str]:
    """Return what the templates are filled with."""
    release = Version(embow.__version__).release
    floor = f"{release[0]}.{release[1]}"
    ceiling = f"{release[0]}.{release[1] + 1}"
    return {
        "id": name,
        "distribution": f"embow-{name}",
        "module": module_name(name),
        "package": name.replace("-", "_"),
        "class_name": "".join(word.capitalize() for word in name.split("-")) + "Embeddings",
        "variable": name.replace("-", "_").upper(),
        "core_range": f">={floor},<{ceiling}",
    }


def module_name(name: str) -> str:
    """Return the import name of a provider's distribution."""
    return f"embow_{name.replace('-', '_')}"


def _templates() -> Iterator[tuple[PurePosixPath, str]]:
    """Yield each file of the distribution with its text, names and text not filled in yet."""
    root = importlib.resources.files("embow_testing") / "templates" / "plugin"
    for path, file in _walk(root, PurePosixPath()):
        plain = path.with_name(path.name.removesuffix(_SUFFIX))
        # A real .gitignore here would be obeyed by tools that pack the core.
        if plain.name == "gitignore":
            plain = plain.with_name(".gitignore")
        yield plain, file.read_text(encoding="utf-8")


def _walk(folder: Traversable, path: PurePosixPath) -> Iterator[tuple[PurePosixPath, Traversable]]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from _walk(entry, path / entry.name)
        elif entry.name.endswith(_SUFFIX):
            yield path / entry.name, entry
