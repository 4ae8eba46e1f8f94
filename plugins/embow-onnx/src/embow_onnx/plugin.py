"""Tells embow what is here, without importing it."""

from __future__ import annotations

from embow.plugins import CommandSpec, ProviderSpec, Sdk, hookimpl


@hookimpl
def embow_providers() -> list[ProviderSpec]:
    """Return the one provider of this distribution."""
    return [
        ProviderSpec(
            id="onnx",
            target="embow_onnx.provider:OnnxEmbeddings",
            summary="all-MiniLM-L6-v2 or any exported model, offline, without torch",
            sdk=(
                Sdk("onnxruntime", "onnxruntime>=1.20"),
                Sdk("tokenizers", "tokenizers>=0.20"),
            ),
        )
    ]


@hookimpl
def embow_commands() -> list[CommandSpec]:
    """Return the one command of this distribution."""
    return [
        CommandSpec(
            id="demo",
            target="embow_onnx.demo:add_arguments",
            summary="search the Python standard library by meaning",
        )
    ]
