"""Small models of transformers, to hold to them what is read of their configs."""

import dataclasses
import json
import warnings
from importlib import import_module
from typing import Any

import torch
import transformers
from msgspec.structs import replace
from transformers.models.auto import configuration_auto, modeling_auto

from effattn_cli.architecture import Kept, Model
from effattn_cli.models.reading import understood

TOKENS = 29  # above every window and chunk below
#: By the names that classes of configs have for them; each class takes those that it knows.
SMALL: dict[str, Any] = {
    "vocab_size": 320, "hidden_size": 64, "n_embd": 64, "d_model": 64, "num_hidden_layers": 6,
    "n_layer": 6, "num_layers": 6, "n_layers": 6, "num_attention_heads": 4, "n_head": 4,
    "num_heads": 4, "n_heads": 4, "attention_heads": 4, "num_key_value_heads": 2,
    "head_dim": 16, "dim_head": 16, "intermediate_size": 96, "ffn_dim": 96, "dff": 96,
    "dim_ff": 96, "ffn_hidden_size": 96, "moe_intermediate_size": 32, "max_position_embeddings": 64,
    "n_positions": 64, "max_seq_len": 64, "sliding_window": 8, "window_size": 8,
    "attention_chunk_size": 8, "local_attention": 16, "num_experts": 4, "num_local_experts": 4,
    "n_routed_experts": 4, "moe_num_experts": 4, "num_experts_per_tok": 2, "moe_topk": 2,
    "moe_k": 2, "shared_expert_intermediate_size": 48, "shared_intermediate_size": 48,
    "rotary_dim": 8, "n_group": 1, "topk_group": 1, "pad_token_id": 0, "bos_token_id": 1,
    "eos_token_id": 2,
}  # fmt: skip


def small_config(family: str, **more: Any) -> Any:
    """Of a family; `more` are keys of its own."""
    kind = getattr(transformers, configuration_auto.CONFIG_MAPPING_NAMES[family])
    return shrunk(kind, **more)


def inner_config(folder: str, family: str, **more: Any) -> Any:
    """Of a family whose class of configs stands in a folder of another's models."""
    module = import_module(f"transformers.models.{folder}.configuration_{folder}")
    kinds = (kind for kind in vars(module).values() if getattr(kind, "model_type", "") == family)
    return shrunk(next(kinds), **more)


def shrunk(kind: Any, **more: Any) -> Any:
    """A config of a class, with small widths."""
    known = {item.name for item in dataclasses.fields(kind)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return kind(**{key: value for key, value in SMALL.items() if key in known} | more)


def in_full(config: Any) -> Model:
    """What is read of all its keys."""
    return understood(json.loads(config.to_json_string(use_diff=False)), config.model_type)


def as_saved(config: Any) -> Model:
    """What is read of the keys that differ from what is usual, which is all that transformers
    writes into a config.json; without the notes, which say what was taken.
    """
    model = understood(json.loads(config.to_json_string(use_diff=True)), config.model_type)
    return replace(model, notes=())


def built(family: str, config: Any) -> Any:
    """The model, with random weights."""
    names = modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    name = names.get(family) or modeling_auto.MODEL_MAPPING_NAMES[family]
    config._attn_implementation = "eager"
    return getattr(transformers, name)(config).eval()


def weights(model: Any) -> int:
    """Bytes of all its parameters; those that are tied once."""
    model.tie_weights()
    return sum(weight.nbytes for weight in model.parameters())


@torch.no_grad()
def cached(model: Any, tokens: int = TOKENS) -> int:
    """Bytes of what it keeps of a sequence after its prefill."""
    out = model(input_ids=torch.arange(3, 3 + tokens)[None], use_cache=True)
    names = ("keys", "values", "conv_states", "recurrent_states")
    layers = out.past_key_values.layers
    return sum(size(getattr(layer, name, None)) for layer in layers for name in names)


def size(value: Any) -> int:
    """Bytes of a tensor, or of those of a list; None has none."""
    if isinstance(value, list | tuple):
        return sum(size(one) for one in value)
    return value.nbytes if isinstance(value, torch.Tensor) else 0


def kept(model: Model, tokens: int = TOKENS) -> int:
    """The same by what is read. Between steps, transformers keeps of a window of w tokens the w - 1
    that the next one sees besides itself; `Kept` counts also that one.
    """

    def held(one: Kept) -> int:
        return tokens if one.max_tokens is None else min(tokens, one.max_tokens - 1)

    return sum(one.bytes(held(one), "float32") for layer in model.layers for one in layer.keeps)
