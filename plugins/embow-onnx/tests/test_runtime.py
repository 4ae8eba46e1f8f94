"""Devices, threads, and what is imported when."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import onnxruntime
import pytest

from embow.errors import ConfigurationError
from embow_onnx import OnnxEmbeddings, cpus

WITHOUT_GPU = pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="this build has CUDA"
)


@WITHOUT_GPU
@pytest.mark.parametrize("device", ["gpu", "cuda", "cuda:1"])
def test_a_missing_gpu_is_said(device: str) -> None:
    """A build without CUDA does not fall back to the CPU silently."""
    func = OnnxEmbeddings.create(device=device)
    with pytest.raises(ConfigurationError, match="pip install onnxruntime-gpu"):
        func.compute_query_embeddings("x")


def test_a_gpu_that_does_not_start_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CUDA build whose libraries are missing falls back by itself; that is an error here."""
    present = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: present)
    session = onnxruntime.InferenceSession

    def falls_back(file: str, options: object, providers: object) -> object:
        return session(file, options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(onnxruntime, "InferenceSession", falls_back)
    with pytest.raises(ConfigurationError, match="could not start CUDAExecutionProvider"):
        OnnxEmbeddings.create(device="cuda:7").compute_query_embeddings("x")


def test_an_unknown_device_is_refused_at_once() -> None:
    """A misspelt device does not wait for the first call."""
    with pytest.raises(ConfigurationError, match="no device is called 'tpu'"):
        OnnxEmbeddings.create(device="tpu")


def test_execution_providers_are_checked() -> None:
    """One that this build has not is named, with those it has."""
    func = OnnxEmbeddings.create(execution_providers=("NoSuchExecutionProvider",))
    with pytest.raises(ConfigurationError, match=r"NoSuch.* has .*CPUExecutionProvider"):
        func.compute_query_embeddings("x")


def test_execution_providers_are_used() -> None:
    """One that is there runs the model."""
    func = OnnxEmbeddings.create(execution_providers=("CPUExecutionProvider",))
    assert func.compute_query_embeddings("x").shape == (1, 384)


def test_omp_num_threads_is_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable that other numeric libraries heed decides here too."""
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert cpus.usable_cores() == 3


@pytest.mark.parametrize(("text", "expected"), [("150000 100000", 2), ("max 100000", 64)])
def test_a_container_has_its_share(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, expected: int
) -> None:
    """No more threads are started than the control group lets run."""
    quota = tmp_path / "cpu.max"
    quota.write_text(text)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(cpus, "_QUOTA", quota)
    monkeypatch.setattr(cpus, "_siblings", str)
    monkeypatch.setattr(cpus.os, "cpu_count", lambda: 64)
    monkeypatch.setattr(cpus.os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    assert cpus.usable_cores() == expected


def test_two_threads_of_one_core_count_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Matrix products gain nothing from a core's second hardware thread."""
    for cpu, siblings in enumerate(["0,2", "1,3", "0,2", "1,3"]):
        (tmp_path / f"cpu{cpu}").write_text(siblings)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(cpus, "_CPU", str(tmp_path / "cpu{}"))
    monkeypatch.setattr(cpus, "_quota", lambda: 64)
    monkeypatch.setattr(cpus.os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    assert cpus.usable_cores() == 2


def test_what_needs_no_model_imports_no_runtime() -> None:
    """Length, limits and identity are told without the SDK, and without pandas or torch."""
    code = (
        "import sys; from embow_onnx import OnnxEmbeddings; f = OnnxEmbeddings.create(); "
        "f.ndims(); f.limits(); f.identity(); "
        "found = {'onnxruntime', 'tokenizers', 'torch', 'pandas'} & {*sys.modules}; "
        "raise SystemExit(', '.join(found) or None)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_embedding_imports_no_torch() -> None:
    """Vectors come from ONNX Runtime alone, also where torch is installed."""
    code = (
        "import sys; from embow_onnx import OnnxEmbeddings; "
        "OnnxEmbeddings.create().compute_query_embeddings('x'); "
        "found = {'torch', 'transformers'} & {*sys.modules}; "
        "raise SystemExit(', '.join(found) or None)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
