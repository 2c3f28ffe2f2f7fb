"""The shape of attention in known models, and in a Hugging Face config.json."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from effattn_cli.errors import UsageError, unknown
from effattn_cli.text_files import small_text


@dataclass(frozen=True)
class Shape:
    """One attention layer's widths; heads * head_dim need not be dim."""

    dim: int
    heads: int
    kv_heads: int
    head_dim: int
    name: str


PRESETS: dict[str, Shape] = {
    name: Shape(*widths, name)
    for name, widths in {
        "bert-base": (768, 12, 12, 64),
        "bert-large": (1024, 16, 16, 64),
        "deepseek-llm-7b": (4096, 32, 32, 128),
        "deepseek-v3": (7168, 128, 128, 128),
        "deepseek-v3.2": (7168, 128, 128, 128),
        "deepseek-v4-flash": (4096, 64, 1, 512),
        "falcon-7b": (4544, 71, 1, 64),
        "falcon-mamba-7b": (4096, 64, 64, 128),
        "gemma-2-2b": (2304, 8, 4, 256),
        "gemma-2-9b": (3584, 16, 8, 256),
        "gpt-oss-20b": (2880, 64, 8, 64),
        "gpt-oss-120b": (2880, 64, 8, 64),
        "gpt2": (768, 12, 12, 64),
        "gpt2-xl": (1600, 25, 25, 64),
        "kimi-linear": (2304, 32, 32, 128),
        "lfm2-1.2b": (2048, 32, 8, 64),
        "llama-2-7b": (4096, 32, 32, 128),
        "llama-2-70b": (8192, 64, 8, 128),
        "llama-3-8b": (4096, 32, 8, 128),
        "llama-3-70b": (8192, 64, 8, 128),
        "llama-3.2-1b": (2048, 32, 8, 64),
        "llama-4": (5120, 40, 8, 128),
        "mamba2-2.7b": (2560, 80, 80, 64),
        "minimax-01": (6144, 64, 8, 128),
        "minimax-m3": (6144, 64, 4, 128),
        "mistral-7b": (4096, 32, 8, 128),
        "nemotron-3-nano": (2688, 32, 2, 128),
        "olmo-hybrid": (3840, 30, 30, 128),
        "phi-3-mini": (3072, 32, 32, 96),
        "qwen2.5-7b": (3584, 28, 4, 128),
        "qwen3-0.6b": (1024, 16, 8, 128),
        "qwen3-8b": (4096, 32, 8, 128),
        "qwen3-next": (2048, 16, 2, 256),
        "recurrent-gemma-2b": (2560, 10, 1, 256),
        "t5-base": (768, 12, 12, 64),
        "t5-3b": (1024, 32, 32, 128),
        "vit-b16": (768, 12, 12, 64),
        "vit-l16": (1024, 16, 16, 64),
        "zaya1-8b": (2048, 8, 2, 128),
    }.items()
}

#: The mixers that a model uses, where they are not plain attention with its key-value heads, as
#: they are typed. Widths that differ from the model's are given.
OWN: dict[str, tuple[str, ...]] = {
    "deepseek-v3": ("mla:query_rank=1536",),
    "deepseek-v3.2": (
        "dsa:over=mla,top=2048,index_heads=64,index_width=128,latent=512,rope=64",
    ),
    "deepseek-v4-flash": (
        "csa:query_rank=1024,out_groups=8,index_heads=64", "hca:query_rank=1024,out_groups=8",
    ),
    "falcon-mamba-7b": ("mamba",),
    "gemma-2-2b": ("sliding-window:window=4096,rotary=1", "gqa:softcap=50,rotary=1"),
    "gemma-2-9b": ("sliding-window:window=4096,rotary=1", "gqa:softcap=50,rotary=1"),
    "gpt-oss-20b": (
        "sliding-window:window=128,sinks=learned,rotary=1", "gqa:sinks=true,rotary=1",
    ),
    "gpt-oss-120b": (
        "sliding-window:window=128,sinks=learned,rotary=1", "gqa:sinks=true,rotary=1",
    ),
    "kimi-linear": ("kda", "mla:turn=false"),
    "lfm2-1.2b": ("short-conv", "gqa:rotary=1,qk_norm=true"),
    "llama-4": ("chunked:chunk=8192,rotary=1", "gqa:log_scale=0.1"),
    "mamba2-2.7b": ("mamba2",),
    "minimax-01": ("lightning", "gqa:rotary=0.5"),
    "minimax-m3": ("block-indexed:index_width=128,rotary=0.5", "gqa:rotary=0.5,qk_norm=true"),
    "mistral-7b": ("sliding-window:window=4096,rotary=1",),
    "nemotron-3-nano": ("mamba2:heads=64,head_dim=64,groups=8", "gqa"),
    "olmo-hybrid": (
        "gated-deltanet:head_dim=96,value_width=192,negative=true,epsilon=1e-5",
        "sdpa:qk_norm=true",
    ),
    "qwen3-next": (
        "gated-deltanet:heads=32,head_dim=128,key_heads=16",
        "gated-attention:rotary=0.25,qk_norm=true",
    ),
    "recurrent-gemma-2b": ("rg-lru", "sliding-window:window=2048,rotary=0.5"),
    "zaya1-8b": ("cca",),
}  # fmt: skip
#: Options of what is between projection and core, which a core has none of.
OF_PROJECTIONS = frozenset({"rotary", "rotary_base", "qk_norm", "log_scale"})


def own_mixers(like: str | None) -> tuple[str, ...]:
    """The mixers of a preset, as they are typed.

    Raises:
        UsageError: no model is named, no preset, or a config, whose mixers are not known.
    """
    if like is None:
        hint = f"give --like, with one of {', '.join(PRESETS)}"
        raise UsageError("'own' stands for the mixers of a model, and none is named", hint)
    name = like.lower()
    if name not in PRESETS:
        _config(like)  # a slip in a preset's name is told as such
        hint = f"they are known of the presets: {', '.join(PRESETS)}"
        raise UsageError(f"'own': the mixers of {like!r} are not known", hint)
    shape = PRESETS[name]
    usual = ("sdpa",) if shape.kv_heads == shape.heads else ("gqa",)
    return OWN.get(name, usual)


DIM = ("hidden_size", "d_model", "n_embd", "dim")
HEADS = ("num_attention_heads", "n_head", "num_heads", "n_heads")
HEAD_DIM = ("head_dim", "d_kv")


def shape_like(text: str) -> Shape:
    """The shape of a preset, or of the model whose config.json or folder `text` names.

    Raises:
        UsageError: there is no such preset or file, or the file lacks a key.
    """
    if text.lower() in PRESETS:
        return PRESETS[text.lower()]
    path = _config(text)
    return _from_config(_read(path), path)


def _config(text: str) -> Path:
    """The config.json that `text`, which is no preset, names.

    Raises:
        UsageError: it names neither such a file nor a folder.
    """
    path = Path(text)
    with suppress(OSError):  # a name too long for a path is no folder
        path = path / "config.json" if path.is_dir() else path
    if path.suffix != ".json":
        raise unknown("preset", text.rpartition("/")[2].lower(), PRESETS)
    return path


def _read(path: Path) -> Mapping[str, Any]:
    try:
        data = json.loads(small_text(path))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not JSON: {error}") from error
    if not isinstance(data, dict):
        raise UsageError(f"{path}: not a model's config, which is an object with keys")
    return data


def _from_config(data: Mapping[str, Any], path: Path) -> Shape:
    inner = data.get("text_config")
    if isinstance(inner, dict) and _found(data, DIM) is None:
        data = inner
    if data.get("kv_lora_rank") is not None:
        message = f"{path}: latent attention (kv_lora_rank) has no single head width"
        raise UsageError(message, "give --dim, --heads and --head-dim")
    dim, heads = _width(data, DIM, path), _width(data, HEADS, path)
    if _found(data, HEAD_DIM) is not None:
        head_dim = _width(data, HEAD_DIM, path)
    elif dim % heads:
        raise UsageError(f"{path}: {dim} is no multiple of {heads} heads, and there is no head_dim")
    else:
        head_dim = dim // heads
    name = path.parent.name or path.stem
    return Shape(dim, heads, _kv_heads(data, heads, path), head_dim, name)


def _kv_heads(data: Mapping[str, Any], heads: int, path: Path) -> int:
    if data.get("num_key_value_heads") is not None:
        return _width(data, ("num_key_value_heads",), path)
    # Falcon's newer layers keep the old switch, but do not look at it.
    if data.get("multi_query") and not data.get("new_decoder_architecture"):
        return 1
    return _width(data, ("num_kv_heads",), path) if data.get("num_kv_heads") else heads


def _found(data: Mapping[str, Any], keys: tuple[str, ...]) -> str | None:
    return next((key for key in keys if data.get(key) is not None), None)


def _width(data: Mapping[str, Any], keys: tuple[str, ...], path: Path) -> int:
    key = _found(data, keys)
    if key is None:
        others = f" (nor {', '.join(keys[1:])})" if keys[1:] else ""
        raise UsageError(f"{path}: there is no key {keys[0]!r}{others}")
    value = data[key]
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 2**31:
        raise UsageError(f"{path}: {key}: expected a positive whole number, got {str(value)[:60]}")
    return value
