"""Kimi Delta Attention beside latent attention, and lightning attention beside softmax."""

from collections.abc import Mapping
from functools import partial

from msgspec.structs import replace

from effattn_cli.architecture import Mixer, Model
from effattn_cli.cards import Stored
from effattn_cli.models.families.latent import NARROW, indexed, latent, shares, streams
from effattn_cli.models.families.reader import Reader
from effattn_cli.models.hybrid import (
    Make,
    every,
    expert_feed,
    feeds,
    kinds,
    mixers,
    predictions,
    sparse_layers,
    whole,
)
from effattn_cli.models.keys import Keys
from effattn_cli.models.mixers import named
from effattn_cli.models.pieces import linear, softmax


def kimi_delta(keys: Keys, *, given: Mapping[str, Stored] | None = None) -> Mixer:
    """Kimi Delta Attention."""
    heads, width = keys.count("linear_num_heads"), keys.count("linear_head_dim")
    conv = keys.count("linear_conv_kernel_dim", "short_conv_kernel_size")
    options = {**({} if conv == 4 else {"conv": conv}), **(given or {})}
    return named("kda", options, keys.count("hidden_size"), heads, heads, width)


def unturned(keys: Keys) -> Mixer:
    """Latent attention without positions; the width that they would have is there all the same."""
    mixer = latent(keys)
    return replace(mixer, options={**mixer.options, "turn": False})


def kimi(keys: Keys) -> Model:
    """Three layers of Kimi Delta Attention to one of latent attention without positions."""
    count = keys.count("num_hidden_layers")
    full = set(range(4, count, 4))
    if keys.get("linear_attn_config") is not None:  # as the original file has it
        full = originally(keys.part("linear_attn_config"), keys, full)
    keys.skip("mla_use_nope")  # it is so in every file, and in transformers' code
    for key in ("mla_use_output_gate", "attn_res_block_size", "routed_expert_hidden_size"):
        if keys.get(key):
            raise keys.refuse(key, "what Kimi-K3 has beyond Kimi Linear is not understood")
    makers = {"linear_attention": kimi_delta, "full_attention": unturned}
    order = kinds(keys, [
        "full_attention" if index in full else "linear_attention" for index in range(count)
    ])  # fmt: skip
    half = feeds(keys, sparse_layers(keys, 1), expert_feed)
    return whole(keys, mixers(keys, order, makers), half, notes=predictions(keys))


def originally(part: Keys, keys: Keys, usual: set[int]) -> set[int]:
    """Takes over what the part says of delta layers; the places of the full ones."""
    names = {"head_dim": "linear_head_dim", "num_heads": "linear_num_heads",
             "short_conv_kernel_size": "linear_conv_kernel_dim"}  # fmt: skip
    values = {ours: part.get(name) for name, ours in names.items() if name in part}
    keys.assume(values, derived=True)
    full, delta = part.numbers("full_attn_layers"), part.numbers("kda_layers")
    if full is None or delta is None:
        return usual
    count = keys.count("num_hidden_layers")
    if sorted([*full, *delta]) != list(range(1, count + 1)):  # they are counted from one
        raise part.refuse("full_attn_layers", f"with kda_layers it does not make {count} layers")
    return {number - 1 for number in full}


def bailing(keys: Keys) -> Model:
    """Ling 3.0: five layers of Kimi Delta Attention to one of latent attention with a gate."""
    heads, group = keys.count("num_attention_heads"), keys.count("layer_group_size")
    width = keys.count("linear_head_dim", "head_dim")
    keys.assume({"linear_num_heads": heads, "linear_head_dim": width}, derived=True)
    given: dict[str, Stored] = {"full_rank": "both"}
    if keys.flag("kda_safe_gate"):
        given["lowest"] = float(keys.number("kda_lower_bound"))

    def gate(keys: Keys) -> int:
        return linear(keys.count("hidden_size"), heads)

    makers: dict[str, Make] = {
        "linear_attention": partial(kimi_delta, given=given),
        "full_attention": partial(latent, extra=gate),
    }
    count = keys.count("num_hidden_layers")
    order = kinds(keys, every(count, group, "full_attention", "linear_attention"))
    half = feeds(keys, sparse_layers(keys, 2), expert_feed)
    notes = [*predictions(keys), "the gate of latent attention is counted as weights, not measured"]
    return whole(keys, mixers(keys, order, makers), half, notes=notes)


def glm5_next(keys: Keys) -> Model:
    """GLM-5.3-Flash: three layers of Kimi Delta Attention to one of latent attention to pools that
    an index finds. The head is the whole model's.
    """
    if keys.get("linear_attn_config") is not None:  # as the original file has it
        given_there(keys.part("linear_attn_config"), keys)
    if not keys.flag("index_kpool_always_select_tail", default=True):
        raise keys.refuse("index_kpool_always_select_tail", "the catalogue's variant always does")
    lowest = keys.number("linear_lower_bound") if keys.get("linear_lower_bound") else None
    given: Mapping[str, Stored] = {} if lowest is None else {"lowest": float(lowest)}
    usual = every(keys.count("num_hidden_layers"), 4, "indexed_attention", "linear_attention")
    order = ["indexed_attention" if kind == "full_attention" else kind
             for kind in kinds(keys, usual)]  # fmt: skip
    delta = partial(kimi_delta, given=given)
    both = [
        mixers(keys, order, {"linear_attention": delta, "indexed_attention": partial(
            indexed, shared=shared, turned=False)})
        for shared in (False, True)
    ]  # fmt: skip
    mixing = [both[shared][index] for index, shared in enumerate(shares(keys))]
    half = feeds(keys, sparse_layers(keys, 3), expert_feed)
    keys.skip("swiglu_limit")
    beside = streams(keys, combined=True)
    notes = [*predictions(keys), NARROW, *beside["notes"]]
    return whole(keys, mixing, half, outside=beside["outside"], headless=True, notes=notes)


def given_there(part: Keys, keys: Keys) -> None:
    """Takes over what the part says of delta layers."""
    names = {"head_dim": "linear_head_dim", "num_heads": "linear_num_heads",
             "short_conv_kernel_size": "linear_conv_kernel_dim",
             "gate_lower_bound": "linear_lower_bound"}  # fmt: skip
    keys.assume(
        {ours: part.get(name) for name, ours in names.items() if name in part}, derived=True
    )
    part.skip("safe_gate", "kda_layers", "full_attn_layers")


def minimax(keys: Keys) -> Model:
    """MiniMax-01: layers of lightning attention between layers of grouped attention."""
    dim, heads = keys.count("hidden_size"), keys.count("num_attention_heads")
    kv_heads = keys.count("num_key_value_heads", default=heads)
    width = keys.count("head_dim", default=dim // heads)
    lightning = named("lightning", {}, dim, heads, heads, width)
    full = softmax(dim, heads, kv_heads, width)  # without biases or norms
    order = kinds(keys, attention_types(keys))
    makers = {"linear_attention": lambda _: lightning, "full_attention": lambda _: full}
    if keys.get("sliding_window"):
        raise keys.refuse("sliding_window", "a window beside lightning attention is not known")
    keys.skip("linear_attn_alpha_factor", "linear_attn_beta_factor", "full_attn_alpha_factor",
              "full_attn_beta_factor")  # fmt: skip
    feed = expert_feed(keys, width=("intermediate_size",), shared=0)
    notes = ["lightning attention fades less in deep layers: all are taken as the first is"]
    return whole(keys, mixers(keys, order, makers), [feed] * len(order), notes=notes)


def attention_types(keys: Keys) -> list[str]:
    """By the numbers of the original file, 1 being softmax; or every other layer, as is usual."""
    count, types = keys.count("num_hidden_layers"), keys.numbers("attn_type_list")
    types = [1 - index % 2 for index in range(count)] if types is None else types
    if len(types) != count:
        raise keys.refuse("attn_type_list", f"{len(types)} kinds for {count} layers")
    return ["full_attention" if softmax_there else "linear_attention" for softmax_there in types]


FAMILIES: Mapping[str, Reader] = {
    "kimi_linear": kimi,
    "bailing_hybrid": bailing,
    "glm5_next_text": glm5_next,
    **dict.fromkeys(("minimax", "minimax_text_01", "minimax_m1"), minimax),
}
