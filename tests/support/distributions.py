"""Real distributions, made in a folder, for interpreters of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

PLUGIN = """
    from embow.plugins import ProviderSpec, hookimpl

    @hookimpl
    def embow_providers():
        return [ProviderSpec(id={id!r}, target={target!r}, summary="A test provider")]
"""

PROVIDER = """
    import numpy as np
    from embow.embeddings import TextEmbeddingFunction

    class Provider(TextEmbeddingFunction):
        "A provider of constant vectors."

        def ndims(self):
            return 2

        def generate_embeddings(self, texts):
            return np.ones((len(texts), 2), dtype=np.float32)
"""


def install(
    site: Path,
    name: str,
    modules: Mapping[str, str],
    entry_points: Mapping[str, str],
    *,
    version: str = "1.0",
    requires: Iterable[str] = (),
) -> Path:
    """Write modules and the metadata of a distribution into a folder, as an installer would.

    Args:
        site: Folder to put on the path; made where it is missing.
        name: Name of the distribution.
        modules: Source text by import name; indented text is dedented.
        entry_points: Targets by name, in the group ``embow.plugins``.
        version: Version of the distribution.
        requires: Requirements it declares.
    """
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    for module, source in modules.items():
        (site / f"{module}.py").write_text(textwrap.dedent(source))
    lines = "".join(f"{key} = {target}\n" for key, target in entry_points.items())
    (info / "entry_points.txt").write_text(f"[embow.plugins]\n{lines}")
    needs = "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}"
    )
    return site


def install_provider(
    site: Path,
    distribution: str,
    provider: str,
    *,
    requires: Iterable[str] = (),
    version: str = "1.0",
) -> Path:
    """Install a working plugin with one provider."""
    module = distribution.replace("-", "_")
    plugin = PLUGIN.format(id=provider, target=f"{module}_provider:Provider")
    modules = {f"{module}_plugin": plugin, f"{module}_provider": PROVIDER}
    entry = {provider: f"{module}_plugin"}
    return install(site, distribution, modules, entry, requires=requires, version=version)


def run(
    site: Path, *arguments: str, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run an interpreter that sees the folder, warnings being errors."""
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path, **(env or {})},
        timeout=120,
    )


def evaluate(site: Path, code: str, env: Mapping[str, str] | None = None) -> Any:
    """Run code that leaves JSON in ``answer`` and return that."""
    source = f"import json\n{textwrap.dedent(code)}\nprint(json.dumps(answer))"
    done = run(site, "-c", source, env=env)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def listed(site: Path, env: Mapping[str, str] | None = None) -> dict[str, dict[str, Any]]:
    """Return what ``embow providers --json`` says, by provider."""
    done = run(site, "-m", "embow", "providers", "--json", env=env)
    assert done.returncode == 0, done.stderr
    items: list[dict[str, Any]] = json.loads(done.stdout)
    return {item["id"]: item for item in items}
