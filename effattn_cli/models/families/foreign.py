"""Configs that are not of transformers: ChatGLM's, and the params.json of Llama and Mistral."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from effattn_cli.architecture import Mixer, Model
from effattn_cli.models.decoder import Style, attention, decoder, shape_of
from effattn_cli.models.families.reader import Reader
from effattn_cli.models.keys import Keys
from effattn_cli.models.layer_kinds import LAYERS
from effattn_cli.models.pieces import dense, experts

#: By what stands in them: the first whose keys are all there.
SIGNS: Mapping[str, tuple[str, ...]] = {
    "params.json": ("dim", "n_layers", "n_heads"),
    "chatglm": ("multi_query_group_num", "num_layers"),
    "mamba_ssm": ("ssm_cfg", "d_model", "n_layer"),
}
SETTLED = frozenset({
    "norm_eps", "rope_theta", "use_scaled_rope", "rope_scaling", "max_batch_size",
    "rope_scaling_factor", "high_freq_factor", "low_freq_factor", "quantization_args", "lora_args",
})  # fmt: skip
KNOWN = frozenset({
    "dim", "n_layers", "n_heads", "n_kv_heads", "head_dim", "hidden_dim", "ffn_dim_multiplier",
    "multiple_of", "vocab_size", "sliding_window", "moe", "tied_embeddings", "max_seq_len",
    "max_position_embeddings",
})  # fmt: skip
BARE = Style(bias_keys=(), feed_keys=())


def recognised(data: Mapping[str, Any]) -> str | None:
    """The family of a config without a `model_type`."""
    return next((name for name, signs in SIGNS.items() if all(key in data for key in signs)), None)


def params(keys: Keys) -> Model:
    """As Llama's own code builds it: `ffn_dim_multiplier` and `multiple_of` say the width; or
    Mistral's, where `hidden_dim` says it.
    """
    if keys.get("vocab_size") == -1:
        raise keys.refuse("vocab_size", "its tokenizer says it, 32000 for Llama 2: write it there")
    if strange := sorted(set(keys) - SETTLED - KNOWN):
        raise keys.refuse(strange[0], "is not understood of a params.json")
    dim, width = keys.count("dim"), _width(keys)
    feed = dense(dim, width, "silu", gated=True)
    if "moe" in keys:
        part = keys.part("moe")
        feed = experts(dim, width, "silu", count=part.count("num_experts"),
                       chosen=part.count("num_experts_per_tok"))  # fmt: skip
    count = keys.count("n_layers")

    tied = keys.flag("tied_embeddings")
    return decoder(keys, replace(BARE, tied=tied), feeds=lambda *_: [feed] * count)


def _width(keys: Keys) -> int:
    if "hidden_dim" in keys:
        return keys.count("hidden_dim")
    width = int(2 * 4 * keys.count("dim") / 3)
    width = int((keys.number("ffn_dim_multiplier") or 1) * width)
    step = keys.count("multiple_of")
    return -(-width // step) * step


def chatglm(keys: Keys) -> Model:
    """ChatGLM2 and later: groups of queries where `multi_query_attention` is on."""
    for key, usual in (("rmsnorm", True), ("post_layer_norm", True)):
        if keys.flag(key, default=usual) is not usual:
            raise keys.refuse(key, "is not understood of the family chatglm")
    grouped = keys.flag("multi_query_attention")
    kv_heads = keys.count("multi_query_group_num") if grouped else None
    keys.skip("multi_query_group_num")
    all_biased = keys.flag("add_bias_linear")
    style = replace(
        BARE, qkv_bias=all_biased or keys.flag("add_qkv_bias"), out_bias=all_biased,
        feed_bias=all_biased,
    )  # fmt: skip

    def mixers(keys: Keys, style: Style) -> list[Mixer]:
        shape = shape_of(keys)
        shape = replace(shape, kv_heads=kv_heads or shape.heads)
        return [attention(keys, style, shape)] * keys.count(*LAYERS)

    keys.skip("apply_residual_connection_post_layernorm")
    return decoder(keys, style, mixers)


FAMILIES: Mapping[str, Reader] = {"chatglm": chatglm, "params.json": params}
