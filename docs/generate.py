"""Write the reference pages that come from the code: providers and errors.

Run ``python docs/generate.py`` after changing a provider's fields or an exception; a test fails
while a page differs from what this script writes. No SDK is needed: provider classes import theirs
when first used.
"""

from __future__ import annotations

import ast
import importlib
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from embow.embeddings import operational
from embow.plugins import ProviderSpec

ROOT = Path(__file__).parents[1]
PLUGINS = sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))
NOTE = "<!-- Written by docs/generate.py from the code; edit that instead. -->\n\n"

PROVIDERS = """{note}# Providers

Settings are arguments of `create`: `get_registry().get("onnx").create(normalize=False)`. An
unknown one is refused. A string of the form `$var:NAME` or `$var:NAME:default` is looked up when
the function is made, and the table keeps the reference, not the value.

Settings with a star change the vectors. They are kept with the table, and a schema that differs
in one of them is refused; the others may differ between the programs that use a table.

| id | distribution | embeds | calls leave the machine |
|---|---|---|---|
{listing}

{sections}"""

ERRORS = """{note}# Errors

Every error embow raises on purpose is an `EmbowError`, imported from `embow.errors`. Many are also
a built-in exception, so code that catches `ValueError` or `KeyError` goes on working. The message
names the cause and the command or call that mends it; the exception underneath, if any, is its
`__cause__`.

```text
{drawing}```

| error | is also | raised when |
|---|---|---|
{rows}

An `EmbeddingError` carries `provider`, `model`, `attempts`, `row` (the position of the first
failing input, where it is known) and `retry_after` (seconds, where the provider said so).
"""


def main() -> None:
    """Write every generated page."""
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")


def pages() -> dict[Path, str]:
    """Return the text of each generated page by its path."""
    reference = ROOT / "docs" / "reference"
    return {
        reference / "providers.md": providers_page(),
        reference / "errors.md": errors_page(),
    }


# -- providers --------------------------------------------------------------------------


def providers_page() -> str:
    """Return the page with the settings of every provider in ``plugins/``."""
    providers = sorted(provider_specs(), key=lambda pair: pair[1].id)
    listing = "\n".join(
        f"| [`{spec.id}`](#{spec.id}) | `{folder}` | {', '.join(spec.modalities)} "
        f"| {'yes' if spec.remote else 'no'} |"
        for folder, spec in providers
    )
    sections = "\n".join(provider_section(folder, spec) for folder, spec in providers)
    return PROVIDERS.format(note=NOTE, listing=listing, sections=sections)


def provider_specs() -> Iterator[tuple[str, ProviderSpec]]:
    """Yield the distribution and spec of each provider, read from the plugin folders."""
    for folder in PLUGINS:
        sys.path.insert(0, str(folder / "src"))
        project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        groups = project.get("entry-points", {})  # a package that plugs nothing in has none
        for target in groups.get("embow.plugins", {}).values():
            plugin = importlib.import_module(target)
            for spec in getattr(plugin, "embow_providers", tuple)():
                yield project["name"], spec


def provider_section(distribution: str, spec: ProviderSpec) -> str:
    """Return one provider's heading, facts and table of settings."""
    module, _, name = spec.target.partition(":")
    cls = getattr(importlib.import_module(module), name)
    facts = [
        ("Install", f"`pip install ./core ./plugins/{distribution}` in a clone"),
        ("Calls", ", ".join(f"`{sdk.requirement}`" for sdk in spec.sdk)),
        ("Key", ", ".join(f"`{variable}`" for variable in spec.credentials)),
        ("Licence", spec.licence or ""),
    ]
    fields = sorted(cls.model_fields.items(), key=lambda item: item[0] == "max_retries")
    rows = "\n".join(
        f"| {setting(field, info)} | {type_name(info.annotation)} | {default(info)} "
        f"| {description(info)} |"
        for field, info in fields
    )
    return (
        f"## {spec.id}\n\n{spec.summary.rstrip('.')}.\n\n"
        + "\n".join(f"* {label}: {value}" for label, value in facts if value)
        + f"\n\n| setting | type | default | meaning |\n|---|---|---|---|\n{rows}\n"
    )


def setting(field: str, info: FieldInfo) -> str:
    """Return a setting's name, with a star where it is part of the function's identity."""
    secret = "SecretStr" in str(info.annotation)
    star = "" if secret or info.exclude or operational in info.metadata else " \\*"
    return f"`{field}`{star}"


def type_name(annotation: Any) -> str:
    """Return a type as a reader would say it. ``None`` is left out: the default says it."""
    if annotation is SecretStr:
        return "secret"
    origin = get_origin(annotation)
    arguments = [a for a in get_args(annotation) if a not in (NoneType, Ellipsis)]
    if origin is Literal:
        return ", ".join(quoted(value) for value in arguments)
    if origin in (list, dict, tuple):
        return f"{origin.__name__} of {' to '.join(type_name(a) for a in arguments)}"
    if origin is not None:
        return " or ".join(type_name(a) for a in arguments)
    return getattr(annotation, "__name__", str(annotation))


def default(info: FieldInfo) -> str:
    """Return a field's default for the table."""
    if info.is_required():
        return "required"
    value = info.get_default(call_default_factory=True)
    if value is PydanticUndefined or value is None:
        return ""
    return quoted(value)


def quoted(value: Any) -> str:
    """Return a value as code, strings in double quotes."""
    return f'`"{value}"`' if isinstance(value, str) else f"`{value!r}`"


def description(info: FieldInfo) -> str:
    """Return a field's description, safe inside a table cell."""
    return " ".join((info.description or "").split()).replace("|", "\\|")


# -- errors -----------------------------------------------------------------------------


def errors_page() -> str:
    """Return the page with the exception tree and what each exception means."""
    tree = ast.parse((ROOT / "core/src/embow/errors.py").read_text())
    drawing = re.search(r"```\n(.*?)```", ast.get_docstring(tree) or "", re.DOTALL)
    assert drawing, "errors.py draws its tree in the module docstring"
    rows = "\n".join(
        f"| `{node.name}` | {bases(node)} | {' '.join((ast.get_docstring(node) or '').split())} |"
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    )
    rows = re.sub(r" Attributes: .*? \|$", " |", rows, flags=re.MULTILINE)
    return ERRORS.format(note=NOTE, drawing=drawing.group(1), rows=rows)


def bases(node: ast.ClassDef) -> str:
    """Return the bases of a class, in code style."""
    return ", ".join(f"`{ast.unparse(base)}`" for base in node.bases)


if __name__ == "__main__":
    main()
