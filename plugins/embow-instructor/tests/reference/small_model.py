"""A small model in the form of hkunlp/instructor-base, the same to the bit wherever it is made.

Its weights come from numpy's ``RandomState``, whose numbers never change between releases, and
its vocabulary is written down here. It loads in sentence-transformers 2 and in current releases.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

WIDTH, INNER, OUT, HEADS, LAYERS = 32, 64, 16, 2, 2
_TEXT = (
    "represent the docuement document for retreival retrieval retreiving retrieving most similar "
    "documents science paragraph question supporting cells use oxygen to turn sugar into energy "
    "capitalism has been dominant in western world since end of feudalism but feel that disparate "
    "impact theory is especially controversial under fair housing act because how do get s"
)
WORDS = _TEXT.split()


def make_model(folder: Path, *, split: bool) -> str:
    """Write the model into a folder and return the SHA-256 of its weights.

    With ``split`` the tokenizer splits at white space first, as T5's own does; without it every
    space is a token of its own or part of one, as in other conversions of such models.
    """
    for name in ("1_Pooling", "2_Dense", "3_Normalize"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    size = _write_tokenizer(folder, split=split)
    weights = _draw(_shapes(size))
    dense = {"linear.weight": weights.pop("dense")}
    _write_configuration(folder, size)
    _write_weights(folder / "pytorch_model.bin", weights)
    _write_weights(folder / "2_Dense" / "pytorch_model.bin", dense)
    digest = hashlib.sha256()
    for name, value in sorted({**weights, **dense}.items()):
        digest.update(name.encode() + value.tobytes())
    return digest.hexdigest()


def _shapes(vocabulary: int) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "shared.weight": (vocabulary, WIDTH),
        "encoder.final_layer_norm.weight": (WIDTH,),
        "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight": (32, HEADS),
        "dense": (OUT, WIDTH),
    }
    for block in range(LAYERS):
        attention, feed = (f"encoder.block.{block}.layer.{n}" for n in (0, 1))
        for part in "qkvo":
            shapes[f"{attention}.SelfAttention.{part}.weight"] = (WIDTH, WIDTH)
        shapes[f"{attention}.layer_norm.weight"] = (WIDTH,)
        shapes[f"{feed}.DenseReluDense.wi.weight"] = (INNER, WIDTH)
        shapes[f"{feed}.DenseReluDense.wo.weight"] = (WIDTH, INNER)
        shapes[f"{feed}.layer_norm.weight"] = (WIDTH,)
    return shapes


def _draw(shapes: dict[str, tuple[int, ...]]) -> dict[str, Any]:
    numbers = np.random.RandomState(20231)
    drawn: dict[str, Any] = {}
    for name, shape in sorted(shapes.items()):
        values = numbers.standard_normal(shape).astype(np.float32)
        scale = 1.0 if "shared" in name else 0.3
        drawn[name] = 1 + 0.1 * values if "layer_norm" in name else scale * values
    return {name: values.astype(np.float32) for name, values in drawn.items()}


def _write_weights(path: Path, weights: dict[str, Any]) -> None:
    import torch

    torch.save({name: torch.from_numpy(values) for name, values in weights.items()}, path)


def _write_tokenizer(folder: Path, *, split: bool) -> int:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -4.0)]
    pieces += [(f"▁{word}", -5.0 - 0.01 * n) for n, word in enumerate(WORDS)]
    pieces += [(letter, -9.0 - 0.01 * n) for n, letter in enumerate("abcdefghijklmnopqrstuvwxyz")]
    pieces += [(sign, -9.5 - 0.01 * n) for n, sign in enumerate("ABCDEFGHIJKLMNOPRSTW.,:;?![]'-")]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=2))
    spaces = [pre_tokenizers.WhitespaceSplit()] if split else []
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*spaces, pre_tokenizers.Metaspace()])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    special = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    _write_json(folder / "special_tokens_map.json", special)
    _write_json(
        folder / "tokenizer_config.json",
        {
            **special,
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": 512,
            "model_input_names": ["input_ids", "attention_mask"],
        },
    )
    return len(pieces)


def _write_configuration(folder: Path, vocabulary: int) -> None:
    _write_json(
        folder / "config.json",
        {
            "model_type": "t5",
            "architectures": ["T5EncoderModel"],
            "vocab_size": vocabulary,
            "d_model": WIDTH,
            "d_kv": WIDTH // HEADS,
            "d_ff": INNER,
            "num_layers": LAYERS,
            "num_heads": HEADS,
            "feed_forward_proj": "relu",
            "relative_attention_num_buckets": 32,
            "pad_token_id": 0,
            "eos_token_id": 1,
            "decoder_start_token_id": 0,
        },
    )
    kinds = ("Transformer", "Pooling", "Dense", "Normalize")
    paths = ("", "1_Pooling", "2_Dense", "3_Normalize")
    _write_json(
        folder / "modules.json",
        [
            {"idx": n, "name": str(n), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for n, (kind, path) in enumerate(zip(kinds, paths, strict=True))
        ],
    )
    _write_json(
        folder / "sentence_bert_config.json", {"max_seq_length": 512, "do_lower_case": False}
    )
    _write_json(
        folder / "config_sentence_transformers.json",
        {"__version__": {"sentence_transformers": "2.2.2"}},
    )
    _write_json(
        folder / "1_Pooling" / "config.json",
        {
            "word_embedding_dimension": WIDTH,
            "pooling_mode_cls_token": False,
            "pooling_mode_mean_tokens": True,
            "pooling_mode_max_tokens": False,
            "pooling_mode_mean_sqrt_len_tokens": False,
        },
    )
    _write_json(
        folder / "2_Dense" / "config.json",
        {
            "in_features": WIDTH,
            "out_features": OUT,
            "bias": False,
            "activation_function": "torch.nn.modules.linear.Identity",
        },
    )


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1), encoding="utf-8")
