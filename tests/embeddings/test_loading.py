"""Models and SDKs are loaded once a process, when first needed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from embow.embeddings import load_once, load_sdk, unload
from embow.errors import MissingSdkError, PluginBrokenError
from embow_testing.fake import FakeEmbeddings


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """Leave nothing loaded behind."""
    yield
    unload()


def in_threads(count: int, work: Callable[[], Any]) -> list[Any]:
    """Run the same work in several threads that start together."""
    start = threading.Barrier(count)
    results: list[Any] = []

    def run() -> None:
        start.wait()
        try:
            results.append(work())
        except ValueError as exc:
            results.append(exc)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_many_threads_load_once() -> None:
    """Threads that ask at once wait for the one that loads, and get the same object."""
    loads: list[object] = []
    entered = threading.Event()

    def load() -> object:
        loads.append(object())
        entered.wait(0.05)
        return loads[-1]

    results = in_threads(8, lambda: load_once("model", load))
    assert len(loads) == 1
    assert set(map(id, results)) == {id(loads[0])}


def test_other_keys_load_meanwhile() -> None:
    """A slow load of one model does not hold up another model."""
    with_lock_held = []

    def slow() -> str:
        thread = threading.Thread(
            target=lambda: with_lock_held.append(load_once("fast", lambda: "fast"))
        )
        thread.start()
        thread.join(10)
        return "slow"

    assert load_once("slow", slow) == "slow"
    assert with_lock_held == ["fast"]


def test_failed_load_is_tried_again() -> None:
    """An error is not kept: the next caller may have better luck."""
    outcomes = iter([ValueError("no network"), "model"])

    def load() -> object:
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    with pytest.raises(ValueError, match="no network"):
        load_once("model", load)
    assert load_once("model", load) == "model"


def test_threads_behind_a_failed_load_end_with_one_object() -> None:
    """Where the first of many threads fails, the others still share one load."""
    loads: list[object] = []

    def load() -> object:
        loads.append(object())
        if len(loads) == 1:
            raise ValueError("first")
        return loads[-1]

    results = in_threads(8, lambda: load_once("model", load))
    objects = {id(result) for result in results if not isinstance(result, ValueError)}
    assert objects == {id(load_once("model", load))}
    assert len(loads) == 2


def test_nothing_is_a_value() -> None:
    """A loader may return ``None`` and is not called again for it."""
    calls: list[None] = []
    for _ in range(2):
        assert load_once("none", lambda: calls.append(None)) is None
    assert len(calls) == 1


def test_unloading_frees_one_or_all() -> None:
    """What is unloaded is loaded anew at the next call."""
    for key in ("a", "b"):
        load_once(key, object)
    first = load_once("a", object)
    assert unload("a") == 1
    assert load_once("a", object) is not first
    assert unload("never-loaded") == 0
    assert unload() == 2


def test_missing_sdk_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names provider and package."""
    monkeypatch.setitem(sys.modules, "vendor_sdk", None)
    with pytest.raises(MissingSdkError, match="'fake' needs the package 'vendor_sdk'"):
        load_sdk(FakeEmbeddings.create(), "vendor_sdk")


def test_installed_sdk_is_returned() -> None:
    """A package that is there is imported."""
    assert load_sdk(FakeEmbeddings.create(), "json").loads("1") == 1


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("import no_such_dependency", "No module named 'no_such_dependency'"),
        ("raise OSError('libfoo.so is missing')", "OSError: libfoo.so is missing"),
    ],
)
def test_broken_sdk_is_not_called_missing(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, source: str, cause: str
) -> None:
    """A package that is installed and fails is not told to be installed again."""
    (tmp_path / "broken_sdk.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(PluginBrokenError, match="installed but fails to import") as caught:
        load_sdk(FakeEmbeddings.create(), "broken_sdk")
    assert cause in str(caught.value)


FORKED = """
import os, signal, threading, warnings
warnings.simplefilter("ignore")  # newer Pythons warn of a fork beside threads
from embow.embeddings import load_once
entered, leave = threading.Event(), threading.Event()
first = load_once("loaded", object)
slow = threading.Thread(target=lambda: load_once("slow", lambda: entered.set() or leave.wait()))
slow.start()
entered.wait()
child = os.fork()
if child == 0:
    signal.alarm(20)  # the thread that would let go of the lock is not here
    other = load_once("loaded", object)
    os._exit(0 if load_once("slow", lambda: 3) == 3 and other is not first else 1)
leave.set()
slow.join()
assert load_once("loaded", list) is first
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_loads_its_own() -> None:
    """It waits for no thread of its parent's, and the parent keeps what it had."""
    subprocess.run([sys.executable, "-c", FORKED], check=True, timeout=60)
