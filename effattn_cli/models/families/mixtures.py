"""Decoders with softmax attention in every layer and mixtures of experts."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from msgspec.structs import replace as altered

from effattn_cli.architecture import Model
from effattn_cli.models.decoder import Style, decoder, left_out
from effattn_cli.models.families.dense import (
    ATTENTION,
    BARE,
    COHERE,
    LLAMA,
    MISTRAL,
    QUERIES,
    QWEN2,
    QWEN3,
    exaone_layout,
)
from effattn_cli.models.families.reader import Reader
from effattn_cli.models.keys import Keys
from effattn_cli.models.layer_kinds import FULL, SLIDING, full_every, full_where, only, whole
from effattn_cli.models.mixture import PLAIN, Mixture, first, mixture, stepped, uniform

USUAL = Mixture()
QWEN = Mixture(dense=stepped, shared_count=0)
FIRST = Mixture(dense=first(0, "first_k_dense_replace"))
GRANITE = Mixture(width=("intermediate_size",), shared_width=("shared_intermediate_size",))
GLM = Mixture(dense=first(1, "first_k_dense_replace"))


def qwen2_moe_layout(keys: Keys, count: int) -> list[str]:
    """Every other layer has a window, up to a depth, if windows are on."""
    on = keys.flag("use_sliding_window")
    depth = keys.count("max_window_layers", default=28, minimum=0)
    return [SLIDING if on and index < depth and not index % 2 else FULL for index in range(count)]


def flint_full(index: int, count: int) -> bool:
    """The first two layers, every fourth, and the last."""
    return index < 2 or index % 4 == 1 or index == count - 1


TABLE: Mapping[str, tuple[Style, Mixture]] = {
    "afmoe": (
        replace(ATTENTION, norms=4, qk_norm="head", gate="element",
                layout=full_every(4, "global_attn_every_n_layers")),
        Mixture(dense=first(1, "num_dense_layers"), corrected=True),
    ),
    "aria_text": (LLAMA, Mixture(width=("intermediate_size",))),
    "deepseek_ocr2_text": (replace(LLAMA, headless=True), GLM),
    "flex_olmo": (replace(ATTENTION, qk_norm="width"), PLAIN),
    "flint": (
        replace(ATTENTION, sinks="all", qk_norm="head", layout=full_where(flint_full)),
        Mixture(dense=stepped, shared_width=("shared_expert_intermediate_size",)),
    ),
    "glm4v_moe_text": (
        replace(QUERIES, headless=True, floored=True), GLM,
    ),
    "gpt_oss": (
        replace(ATTENTION, sinks="all", layout=full_every(2)),
        replace(PLAIN, bias=True, router_bias=True),
    ),
    "granitemoe": (ATTENTION, PLAIN),
    "granitemoe_swa": (replace(ATTENTION, sinks="all", layout=full_every(4, first=True)), GRANITE),
    "granitemoeshared": (ATTENTION, GRANITE),
    "hy_v3": (replace(LLAMA, qk_norm="head"), Mixture(dense=first(1))),
    "kolibri1": (
        replace(BARE, norms=4, qk_norm="head", layout=full_every(5)),
        Mixture(shared_width=("shared_expert_intermediate_size",)),
    ),
    "mellum": (
        replace(ATTENTION, qk_norm="head", layout=only(FULL)), replace(USUAL, shared_count=0),
    ),
    "mixtral": (MISTRAL, PLAIN),
    "olmoe": (replace(ATTENTION, qk_norm="width"), PLAIN),
    "phimoe": (replace(ATTENTION, norm="layer", head_keys=("lm_head_bias",), layout=None), PLAIN),
    "qwen2_moe": (
        replace(QWEN2, bias_keys=("qkv_bias",), out_keys=(), layout=qwen2_moe_layout),
        replace(QWEN, shared_count=None, shared_width=("shared_expert_intermediate_size",),
                shared_gate=True),
    ),
    "qwen3_omni_moe_talker_text": (
        replace(QWEN3, layout=None, headless=True),
        replace(QWEN, shared_width=("shared_expert_intermediate_size",), shared_gate=True),
    ),
    "qwen3_omni_moe_text": (replace(QWEN3, layout=None, headless=True), QWEN),
    "qwen3_vl_moe_text": (replace(QWEN3, layout=whole, headless=True), QWEN),
    "solar_open": (QUERIES, USUAL),
}  # fmt: skip


def with_experts(style: Style, how: Mixture, keys: Keys) -> Model:
    """A decoder with these experts."""
    return decoder(keys, style, feeds=mixture(how))


def qwen3_moe(keys: Keys) -> Model:
    """Windows in all layers, if windows are on."""
    keys.skip("max_window_layers")
    on = keys.flag("use_sliding_window")
    style = QWEN3 if on else replace(QWEN3, layout=only(FULL))
    return with_experts(replace(style, layout=None if on else only(FULL)), QWEN, keys)


def glm4_moe(keys: Keys) -> Model:
    """Heads may be normed."""
    style = replace(QUERIES, qk_norm="head" if keys.flag("use_qk_norm") else "", floored=True)
    return with_experts(style, GLM, keys)


def dots1(keys: Keys) -> Model:
    """Windows from a depth on, where the config has one."""

    def layout(keys: Keys, count: int) -> list[str]:
        depth = keys.count("max_window_layers", default=62, minimum=0)
        windowed = keys.get("sliding_window") is not None
        return [SLIDING if windowed and index >= depth else FULL for index in range(count)]

    return with_experts(replace(ATTENTION, qk_norm="head", layout=layout), FIRST, keys)


def exaone_moe(keys: Keys) -> Model:
    """As EXAONE 4, with norms before the halves."""
    return with_experts(replace(BARE, qk_norm="head", layout=exaone_layout), GLM, keys)


def cohere2_moe(keys: Keys) -> Model:
    """The first layers are dense, with a pattern of windows of their own."""
    few = keys.count("first_k_dense_replace", default=0, minimum=0)
    early = keys.count("prefix_dense_sliding_window_pattern", default=1)
    every = keys.count("sliding_window_pattern", default=4)

    def layout(_: Keys, count: int) -> list[str]:
        turns = [(index + 1) % early for index in range(few)]
        turns += [(index + 1) % every for index in range(count - few)]
        return [SLIDING if turn else FULL for turn in turns]

    how = Mixture(
        dense=first(few), width=("intermediate_size",),
        dense_width=("prefix_dense_intermediate_size", "intermediate_size"),
    )  # fmt: skip
    return with_experts(replace(COHERE, layout=layout), how, keys)


def hunyuan(keys: Keys) -> Model:
    """All experts as wide as the shared one; its own files have lists with an item a layer."""
    width = keys.count("intermediate_size")
    for key, usual in (("num_shared_expert", 1), ("moe_intermediate_size", width)):
        if uniform(keys, key, default=usual) != usual:
            raise keys.refuse(key, f"transformers builds it with {usual} only")
    if not keys.flag("use_qk_norm", default=True) or keys.flag("use_cla"):
        raise keys.refuse("use_cla", "transformers builds it without, and with use_qk_norm")
    keys.skip("cla_share_factor", "moe_layer_num_skipped", "moe_random_routing_dropped_token")
    keys.skip("use_mixed_mlp_moe")
    how = Mixture(width=("intermediate_size",), shared_count=1)
    return with_experts(replace(ATTENTION, qk_norm="head"), how, keys)


def minimax_m2(keys: Keys) -> Model:
    """Norms over all heads together; its own files say so at length."""
    for key, holds in (
        ("attn_type_list", set(keys.numbers("attn_type_list") or [1]) == {1}),
        ("use_qk_norm", keys.flag("use_qk_norm", default=True)),
        ("qk_norm_type", keys.word("qk_norm_type", default="per_layer") == "per_layer"),
        ("shared_intermediate_size", not keys.get("shared_intermediate_size")),
    ):
        if not holds:
            raise keys.refuse(key, "is not understood of the family minimax_m2")
    model = with_experts(replace(BARE, qk_norm="width"), PLAIN, keys)
    further = keys.count("num_mtp_modules", default=0, minimum=0)
    keys.skip("use_mtp", "mtp_transformer_layers")
    return altered(model, notes=(*model.notes, left_out(further))) if further else model


FAMILIES: Mapping[str, Reader] = {
    **{name: partial(with_experts, style, how) for name, (style, how) in TABLE.items()},
    "cohere2_moe": cohere2_moe,
    "dots1": dots1,
    "exaone_moe": exaone_moe,
    "glm4_moe": glm4_moe,
    "hunyuan_v1_moe": hunyuan,
    "minimax_m2": minimax_m2,
    "qwen3_moe": qwen3_moe,
    "sarvam_moe": glm4_moe,
}
