"""Nemotron-H: layers of one half each."""

from collections.abc import Mapping
from functools import partial

from effattn_cli.architecture import Feed, Model
from effattn_cli.models.families.reader import Reader
from effattn_cli.models.families.state_space import NEMOTRON, attention, mamba2
from effattn_cli.models.hybrid import (
    RENAMED,
    Make,
    mixers,
    nothing,
    whole,
)
from effattn_cli.models.keys import Keys
from effattn_cli.models.pieces import dense, linear


def nemotron(keys: Keys) -> Model:
    """Each layer is one half: Mamba-2, attention, a feed-forward or experts."""
    pattern = keys.get("hybrid_override_pattern")
    letters = {"M": "linear_attention", "E": "moe", "*": "full_attention", "-": "mlp"}
    order = keys.items("layers_block_type", "layer_types")
    if order is None and isinstance(pattern, str):
        order = [letters.get(letter, letter) for letter in pattern]
    if order is None:
        raise keys.refuse("hybrid_override_pattern", "it does not say what the layers are")
    order = [RENAMED.get(str(kind), str(kind)) for kind in order]
    if keys.count("num_hidden_layers", default=len(order)) != len(order):
        raise keys.refuse("num_hidden_layers", f"the layers are {len(order)} by their kinds")
    if keys.get("sliding_window"):
        raise keys.refuse("sliding_window", "a window beside Mamba-2 is not known")
    makers: dict[str, Make] = {
        "linear_attention": partial(mamba2, names=NEMOTRON),
        "full_attention": partial(attention, biased=False), "moe": nothing, "mlp": nothing,
    }  # fmt: skip
    feeds = {"moe": nemotron_experts(keys) if "moe" in order else None,
             "mlp": nemotron_feed(keys) if "mlp" in order else None}  # fmt: skip
    keys.skip("mtp_layers_block_type", "mtp_hybrid_override_pattern", "num_nextn_predict_layers")
    keys.skip("mamba_hidden_act", "moe_shared_expert_overlap", "intermediate_size",
              "attention_bias", "n_shared_experts",
              "moe_shared_expert_intermediate_size")  # fmt: skip
    halves = [feeds.get(kind) for kind in order]
    return whole(keys, mixers(keys, order, makers), halves, norms=1)


def nemotron_feed(keys: Keys) -> Feed:
    width, bias = keys.count("intermediate_size"), keys.flag("mlp_bias")
    return dense(keys.count("hidden_size"), width, keys.word("mlp_hidden_act"), bias=bias)


def nemotron_experts(keys: Keys) -> Feed:
    """Experts of two matrices, which may see a narrower latent of the token."""
    dim, count = keys.count("hidden_size"), keys.count("n_routed_experts")
    narrow, bias = keys.count("moe_latent_size", default=dim), keys.flag("mlp_bias")
    act, shared = keys.word("mlp_hidden_act"), keys.count("moe_shared_expert_intermediate_size")
    shared *= keys.count("n_shared_experts", default=1, minimum=0) > 0
    one = dense(narrow, keys.count("moe_intermediate_size"), act, bias=bias)
    always = linear(dim, count)
    always += dense(dim, shared, act, bias=bias).parameters if shared else 0
    if "moe_latent_size" in keys:
        always += linear(dim, narrow, bias=bias) + linear(narrow, dim, bias=bias)
    return Feed(
        activation=act, width=one.width, parameters=always + count * one.parameters, experts=count,
        chosen=keys.count("num_experts_per_tok"), shared=shared, always=always,
    )  # fmt: skip


FAMILIES: Mapping[str, Reader] = {
    "nemotron_h": nemotron,
}
