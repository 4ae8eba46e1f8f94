"""Plugins are found in real distributions, and the failure of one never hides another."""

from __future__ import annotations

from pathlib import Path

import pytest

from distributions import PROVIDER, evaluate, install, install_provider, listed

RAISES = "raise RuntimeError('boom while importing')"

ERROR_OF = """
    from embow.embeddings import get_registry
    try:
        answer = get_registry().get({name!r}).__name__
    except Exception as exc:
        answer = [type(exc).__name__, str(exc)]
"""


def plugin_returning(expression: str) -> str:
    """Return a plugin module whose provider hook returns an expression."""
    return f"""
        from embow.plugins import ProviderSpec, Sdk, hookimpl

        @hookimpl
        def embow_providers():
            return {expression}
    """


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return a folder with one working plugin."""
    return install_provider(tmp_path / "site", "embow-good", "good")


def error_of(site: Path, name: str, env: dict[str, str] | None = None) -> tuple[str, str]:
    """Return type and text of the error of asking for a provider."""
    kind, message = evaluate(site, ERROR_OF.format(name=name), env)
    return kind, message


def test_installed_plugin_is_ready(site: Path) -> None:
    """A plugin is found by its entry point, with its distribution and version."""
    good = listed(site)["good"]
    assert (good["state"], good["distribution"], good["version"]) == ("ready", "embow-good", "1.0")


def test_provider_embeds(site: Path) -> None:
    """The class behind the spec is handed out under the spec's name."""
    answer = evaluate(
        site,
        """
        from embow.embeddings import get_registry
        f = get_registry().get("good").create()
        answer = [f.name_of_provider(), f.generate_embeddings(["a"]).tolist()]
        """,
    )
    assert answer == ["good", [[1.0, 1.0]]]


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (RAISES, "RuntimeError: boom while importing"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("import no_such_module_anywhere", "No module named 'no_such_module_anywhere'"),
        ("this is no python", "SyntaxError"),
        (plugin_returning("1 / 0"), "ZeroDivisionError"),
        (plugin_returning("None"), "embow_providers() returned None"),
        (plugin_returning("['openai']"), "embow_providers() returned str, not ProviderSpec"),
        (plugin_returning("[ProviderSpec(id='A B', target='a:B')]"), "must be lower-case"),
        (plugin_returning("[ProviderSpec(id='bad', target='a.B')]"), "package.module:name"),
        ("x = 1", "implements no hook"),
    ],
)
def test_broken_plugin_is_listed_beside_good_ones(site: Path, module: str, reason: str) -> None:
    """Whatever a plugin does wrong, it is listed as broken with the cause, and the rest works."""
    install(site, "embow-a-bad", {"a_bad_plugin": module}, {"bad": "a_bad_plugin"})
    found = listed(site)
    assert found["good"]["state"] == "ready"
    assert found["bad"]["state"] == "broken"
    assert reason in found["bad"]["reason"]


@pytest.mark.parametrize(
    ("decorator", "name", "reason"),
    [
        ("@hookimpl", "embow_provider", "embow_provider"),
        ("", "embow_provider", "function embow_provider() is no hook of embow"),
        ("", "embow_providers", "function embow_providers() is not marked with @hookimpl"),
    ],
)
def test_misspelt_hook_is_broken(site: Path, decorator: str, name: str, reason: str) -> None:
    """A hook that would be passed over in silence is an error that names it."""
    module = f"""
        from embow.plugins import hookimpl

        {decorator}
        def {name}():
            return []

        @hookimpl
        def embow_observers():
            return []
    """
    install(site, "embow-typo", {"typo_plugin": module}, {"typo": "typo_plugin"})
    typo = listed(site)["typo"]
    assert typo["state"] == "broken"
    assert reason in typo["reason"]


def test_broken_plugin_is_explained_when_asked_for(site: Path) -> None:
    """Asking for a broken provider raises the cause, not that it is unknown."""
    install(site, "embow-bad", {"bad_plugin": RAISES}, {"bad": "bad_plugin"})
    kind, message = error_of(site, "bad")
    assert kind == "PluginBrokenError"
    assert "boom while importing" in message
    assert "embow-bad" in message


def test_broken_class_is_explained_when_asked_for(tmp_path: Path) -> None:
    """A spec whose class cannot be imported raises with target and cause."""
    plugin = plugin_returning("[ProviderSpec(id='hollow', target='nowhere_at_all:Thing')]")
    site = install(tmp_path, "embow-hollow", {"hollow_plugin": plugin}, {"hollow": "hollow_plugin"})
    kind, message = error_of(site, "hollow")
    assert kind == "PluginBrokenError"
    assert "nowhere_at_all:Thing" in message
    assert "No module named 'nowhere_at_all'" in message


def test_target_that_is_no_provider_is_refused(tmp_path: Path) -> None:
    """A spec that names some other class is refused by name."""
    plugin = plugin_returning("[ProviderSpec(id='other', target='pathlib:Path')]")
    site = install(tmp_path, "embow-other", {"other_plugin": plugin}, {"other": "other_plugin"})
    kind, message = error_of(site, "other")
    assert kind == "PluginBrokenError"
    assert "'pathlib:Path' is not an EmbeddingFunction" in message


def test_two_distributions_with_one_name_are_refused(site: Path) -> None:
    """Neither of two claims is handed out; the error names both distributions."""
    install_provider(site, "embow-rival", "good", version="2.0")
    assert listed(site)["good"]["state"] == "conflict"
    kind, message = error_of(site, "good")
    assert kind == "ProviderConflictError"
    assert "embow-good 1.0 and embow-rival 2.0" in message


def test_alias_conflicts_too(site: Path) -> None:
    """An alias that is another provider's name is a conflict of both."""
    plugin = plugin_returning("[ProviderSpec(id='b', target='a:B', aliases=('good',))]")
    install(site, "embow-b", {"b_plugin": plugin}, {"b": "b_plugin"})
    found = listed(site)
    assert [found["good"]["state"], found["b"]["state"]] == ["conflict", "conflict"]


def test_alias_finds_its_provider(tmp_path: Path) -> None:
    """A provider answers to its aliases, under its own id."""
    plugin = plugin_returning(
        "[ProviderSpec(id='long-name', target='a_provider:Provider', aliases=('al',))]"
    )
    modules = {"al_plugin": plugin, "a_provider": PROVIDER}
    site = install(tmp_path, "embow-al", modules, {"long-name": "al_plugin"})
    code = """
        from embow.embeddings import get_registry
        answer = get_registry().get("al").provider_id
    """
    assert evaluate(site, code) == "long-name"


def test_conflict_is_settled_by_disabling_a_distribution(site: Path) -> None:
    """Naming one of the two in the variable leaves the other ready."""
    install_provider(site, "embow-rival", "good", version="2.0")
    code = """
        from embow.embeddings import get_registry
        answer = get_registry().get("good").__module__
    """
    env = {"EMBOW_DISABLE_PLUGINS": "embow-rival"}
    assert evaluate(site, code, env) == "embow_good_provider"


@pytest.mark.parametrize("value", ["good", "embow-good", "Embow_Good", "x, good", "*"])
def test_disabled_plugin_says_so(site: Path, value: str) -> None:
    """A provider, a distribution or everything can be switched off, and the error says how back."""
    env = {"EMBOW_DISABLE_PLUGINS": value}
    assert listed(site, env)["good"]["state"] == "disabled"
    kind, message = error_of(site, "good", env)
    assert kind == "PluginBrokenError"
    assert "EMBOW_DISABLE_PLUGINS" in message


def test_disabled_plugin_is_not_imported(site: Path) -> None:
    """Switching a distribution off keeps even its plugin module from running."""
    install(site, "embow-bad", {"bad_plugin": RAISES}, {"bad": "bad_plugin"})
    assert listed(site, {"EMBOW_DISABLE_PLUGINS": "embow-bad"})["bad"]["state"] == "disabled"


def test_local_engine_cannot_be_disabled(site: Path) -> None:
    """Switching all plugins off leaves the core's own engine."""
    code = """
        from embow.plugins import EngineSpec, _discovery as discovery
        engines = discovery.catalog().of(EngineSpec)
        answer = [[e.id, e.state] for e in engines if e.id == "local"]
    """
    assert evaluate(site, code, {"EMBOW_DISABLE_PLUGINS": "*"}) == [["local", "ready"]]


def test_plugin_for_another_core_is_not_imported(site: Path) -> None:
    """A declared range that excludes this core is noticed before the plugin is imported."""
    modules = {"old_plugin": RAISES}
    install(site, "embow-old", modules, {"old": "old_plugin"}, requires=["embow>=7,<8"])
    old = listed(site)["old"]
    assert old["state"] == "incompatible"
    assert "embow<8,>=7" in old["reason"]


def test_plugin_for_another_interface_is_incompatible(site: Path) -> None:
    """A spec of another interface version is not used."""
    plugin = plugin_returning("[ProviderSpec(id='new', target='a:B', api=99)]")
    install(site, "embow-new", {"new_plugin": plugin}, {"new": "new_plugin"})
    new = listed(site)["new"]
    assert new["state"] == "incompatible"
    assert "99" in new["reason"]


@pytest.mark.parametrize("requirement", ["embow>=0.1", "embow[openai]", "numpy<1", "not a valid ~"])
def test_other_requirements_do_not_matter(tmp_path: Path, requirement: str) -> None:
    """Only a range of the core that excludes it makes a plugin incompatible."""
    site = install_provider(tmp_path, "embow-good", "good", requires=[requirement])
    assert listed(site)["good"]["state"] == "ready"


def test_requirement_of_an_extra_does_not_matter(tmp_path: Path) -> None:
    """A range of the core that only an extra asks for is not held against the plugin."""
    requires = ['embow>=7; extra == "test"']
    site = install_provider(tmp_path, "embow-good", "good", requires=requires)
    assert listed(site)["good"]["state"] == "ready"


@pytest.mark.parametrize(
    ("sdk", "state", "reason"),
    [
        ("Sdk('vendor_sdk', 'vendor-sdk>=1')", "ready", ""),
        ("Sdk('vendor_sdk', 'vendor-sdk>=2,<3')", "needs sdk", "vendor-sdk 1.5 is installed"),
        ("Sdk('vendor_sdk.sub', 'vendor-sdk')", "needs sdk", "'vendor_sdk.sub'"),
        ("Sdk('absent_sdk', 'absent-sdk>=1')", "needs sdk", "'absent_sdk' is not installed"),
    ],
)
def test_sdk_is_looked_for_without_importing_it(
    tmp_path: Path, sdk: str, state: str, reason: str
) -> None:
    """Whether a package is there, and new enough, is told from its metadata alone."""
    plugin = plugin_returning(f"[ProviderSpec(id='v', target='a:B', sdk=({sdk},))]")
    site = install(tmp_path, "embow-v", {"v_plugin": plugin}, {"v": "v_plugin"})
    install(site, "vendor-sdk", {"vendor_sdk": RAISES}, {}, version="1.5")
    found = listed(site)["v"]
    assert found["state"] == state
    assert reason in found["reason"]


def test_sdk_inside_a_namespace_is_found(tmp_path: Path) -> None:
    """A module of a namespace package is found, and one that is not there is missed."""
    (tmp_path / "space" / "real").mkdir(parents=True)
    (tmp_path / "space" / "real" / "__init__.py").write_text(RAISES)
    code = """
        from embow.plugins._loader import is_importable
        answer = [is_importable("space.real"), is_importable("space.unreal")]
    """
    assert evaluate(tmp_path, code) == [True, False]


def test_missing_sdk_gives_its_own_hint(tmp_path: Path) -> None:
    """A hint of the plugin replaces the usual command."""
    sdk = "Sdk('absent_sdk', 'absent-sdk', hint='Build it from source.')"
    plugin = plugin_returning(f"[ProviderSpec(id='v', target='a:B', sdk=({sdk},))]")
    site = install(tmp_path, "embow-v", {"v_plugin": plugin}, {"v": "v_plugin"})
    assert listed(site)["v"]["hint"] == "Build it from source."


def test_observers_of_a_broken_neighbour_are_kept(site: Path) -> None:
    """Observers are collected from every plugin that works."""
    module = """
        from embow.plugins import hookimpl

        @hookimpl
        def embow_observers():
            return [print]
    """
    install(site, "embow-bad", {"bad_plugin": RAISES}, {"bad": "bad_plugin"})
    install(site, "embow-watch", {"watch_plugin": module}, {"watch": "watch_plugin"})
    code = "from embow.plugins import _discovery\nanswer = print in _discovery.observers()"
    assert evaluate(site, code) is True


def test_a_plugin_offers_things_of_every_kind(tmp_path: Path) -> None:
    """Each kind has a hook; what it offers is listed and found by name or alias."""
    module = """
        from embow.plugins import LoaderSpec, RerankerSpec, hookimpl

        @hookimpl
        def embow_loaders():
            return [LoaderSpec(id="pdf", target="a:B", suffixes=(".pdf",))]

        @hookimpl
        def embow_rerankers():
            return [RerankerSpec(id="rank", target="a:B", aliases=("order",))]
    """
    install(tmp_path, "embow-many", {"many_plugin": module}, {"many": "many_plugin"})
    code = """
        from embow.plugins import LoaderSpec, RerankerSpec, _discovery as discovery
        catalog = discovery.catalog()
        answer = [
            catalog.of(LoaderSpec)[0].spec.suffixes,
            catalog.find(RerankerSpec, "order").id,
            discovery.find(RerankerSpec, "order").state,
        ]
        try:
            discovery.find(RerankerSpec, "rnk")
        except KeyError as exc:
            answer.append(str(exc))
    """
    *found, message = evaluate(tmp_path, code)
    assert found == [[".pdf"], "rank", "ready"]
    assert message.startswith("No reranker named 'rnk'. Did you mean 'rank'? Installed: ")


def test_plugin_installed_later_is_found(tmp_path: Path) -> None:
    """A provider installed while the process runs, as from a notebook, is found when asked for."""
    code = f"""
        import sys
        sys.path.insert(0, {str(Path(__file__).parents[1] / "support")!r})
        from pathlib import Path
        from distributions import install_provider
        from embow.embeddings import get_registry
        registry = get_registry()
        first = registry.providers()
        install_provider(Path({str(tmp_path)!r}), "embow-late", "late")
        answer = registry.get("late").__name__
    """
    assert evaluate(tmp_path, code) == "Provider"


def test_plugin_may_ask_the_registry_while_it_is_imported(site: Path) -> None:
    """A plugin that registers a class while it is imported sees no half of the catalog."""
    module = """
        from embow.embeddings import TextEmbeddingFunction, register
        from embow.plugins import _discovery as discovery, hookimpl

        SEEN = len(discovery.catalog().plugins)

        @register("eager")
        class Eager(TextEmbeddingFunction):
            def ndims(self):
                return 1
            def generate_embeddings(self, texts):
                return []

        @hookimpl
        def embow_providers():
            return []
    """
    install(site, "embow-eager", {"eager_plugin": module}, {"eager": "eager_plugin"})
    code = """
        from embow.embeddings import get_registry
        classes = [get_registry().get(name).__name__ for name in ("good", "eager")]
        import eager_plugin
        answer = [*classes, eager_plugin.SEEN]
    """
    assert evaluate(site, code) == ["Provider", "Eager", 0]
