"""All plugins in one environment. ``tox -e together`` runs this file; the default tests do not.

It is run twice, the second time with ``embow-openai`` uninstalled and ``-k "not openai"``.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import distributions

import pytest

from embow.embeddings import EmbeddingFunction, get_registry
from embow.errors import ProviderNotInstalledError
from embow.plugins import ProviderSpec, State
from embow.plugins._discovery import catalog
from embow.plugins._known import KNOWN, Known

INSTALLED = {distribution.name for distribution in distributions()}


def state_of(provider: str) -> State:
    """Return the state a provider is listed with."""
    [listed] = [item for item in catalog().of(ProviderSpec) if item.id == provider]
    return listed.state


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.id)
def test_a_provider_is_ready_beside_all_others(known: Known) -> None:
    """Every plugin is ready; ImageBind's own package cannot live with current releases."""
    accepted = {State.READY, State.NEEDS_SDK} if known.id == "imagebind" else {State.READY}
    assert state_of(known.id) in accepted


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.id)
def test_a_provider_can_be_loaded_beside_all_others(known: Known) -> None:
    """The class behind each id is imported from the plugin of that name."""
    if state_of(known.id) is State.READY:
        cls = get_registry().get(known.id)
        assert issubclass(cls, EmbeddingFunction)
        assert cls.__module__.split(".")[0] == known.distribution.replace("-", "_")


def test_the_requirements_of_all_plugins_agree() -> None:
    """pip finds no two distributions that ask for different releases of a third."""
    result = subprocess.run(
        [sys.executable, "-m", "pip", "check"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout


@pytest.mark.skipif("embow-openai" in INSTALLED, reason="nothing has been uninstalled yet")
def test_the_one_that_is_gone_says_how_to_install_it() -> None:
    """A known plugin that was uninstalled is listed as such, and its error has the command."""
    assert state_of("openai") is State.NOT_INSTALLED
    with pytest.raises(ProviderNotInstalledError, match="pip install"):
        get_registry().get("openai")
