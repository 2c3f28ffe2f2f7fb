"""Step: window layers with more heads than full ones, gates for each head, experts."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

from msgspec import Meta, ValidationError, convert

from effattn_cli.architecture import Feed, Mixer, Model
from effattn_cli.models.decoder import ACTIVATION, DIM, Style, attention, decoder, shape_of
from effattn_cli.models.families.dense import LLAMA
from effattn_cli.models.families.reader import Reader
from effattn_cli.models.keys import Keys
from effattn_cli.models.layer_kinds import FULL, LAYERS, SLIDING
from effattn_cli.models.pieces import dense, experts

STEP = replace(LLAMA, qk_norm="head", gate="head", headless=True)
DENSE = 3  # first layers that have no experts, where no key says which


def own(keys: Keys, name: str, count: int) -> list[str] | None:
    """A list with an item for each layer; what it has for layers that guess further tokens is
    left out.
    """
    items, further = keys.words(name), keys.count("num_nextn_predict_layers", default=0, minimum=0)
    if items is not None and len(items) not in {count, count + further}:
        raise keys.refuse(name, f"{len(items)} items for {count} layers")
    return None if items is None else items[:count]


def heads_of_windows(keys: Keys, usual: int) -> int:
    """How many heads a window layer has."""
    other = keys.get("attention_other_setting") or {}
    try:
        Heads = dict[Literal["num_attention_heads"], Annotated[int, Meta(ge=1)]]
        configs = convert(keys.get("per_layer_config", default={}), dict[str, Heads])
        convert(other, dict[str, Any])
    except ValidationError as error:
        raise keys.refuse("per_layer_config", str(error)) from error
    counts = {heads for own in configs.values() for heads in own.values()}
    if len(counts) > 1:
        raise keys.refuse("per_layer_config", "expected one number of heads for window layers")
    named = keys.get("num_sliding_attention_heads")
    return next(iter(counts), None) or named or other.get("num_attention_heads") or usual


def mixers(keys: Keys, style: Style) -> list[Mixer]:
    """The attention of each layer."""
    count, shape = keys.count(*LAYERS), shape_of(keys)
    shape = replace(shape, kv_heads=keys.count("num_attention_groups", default=shape.kv_heads))
    wide = replace(shape, heads=heads_of_windows(keys, shape.heads))
    order = own(keys, "layer_types", count) or [FULL] * count
    if wrong := set(order) - {FULL, SLIDING}:
        raise keys.refuse("layer_types", f"{min(wrong)!r} is not known of this family")
    keys.skip("sliding_window")  # of no effect where no layer has one
    return [attention(keys, style, wide if kind == SLIDING else shape, kind) for kind in order]


def feeds(keys: Keys, style: Style) -> list[Feed]:
    """Experts in the layers that are named, or in all but the first few."""
    count, dim = keys.count(*LAYERS), keys.count(*DIM)
    activation, bias = keys.word(*ACTIVATION, default=style.activation), keys.flag("mlp_bias")
    plain = dense(dim, keys.count("intermediate_size"), activation, gated=True, bias=bias)
    mixed = experts(
        dim, keys.count("moe_intermediate_size"), activation,
        count=keys.count("n_routed_experts", "moe_num_experts"),
        chosen=keys.count("num_experts_per_tok", "moe_top_k"),
        shared=keys.count("share_expert_dim", "share_expert_dims"),
    )  # fmt: skip
    if bias:
        raise keys.refuse("mlp_bias", "experts without biases beside others that have them")
    keys.skip("num_local_experts")  # another name of theirs
    named = keys.get("moe_layers_enum")
    named = named.split(",") if isinstance(named, str) else named
    sparse = range(DENSE, count) if named is None else {int(layer) for layer in named}
    kinds = own(keys, "mlp_layer_types", count)
    kinds = kinds or ["sparse" if index in sparse else "dense" for index in range(count)]
    if wrong := set(kinds) - {"dense", "sparse"}:
        raise keys.refuse("mlp_layer_types", f"{min(wrong)!r} is neither dense nor sparse")
    return [mixed if kind == "sparse" else plain for kind in kinds]


def step(keys: Keys) -> Model:
    """The decoder of Step 3.5 and 3.7."""
    keys.skip("swiglu_limits", "swiglu_limits_shared", "mtp_layer_types", "mtp_mlp_layer_types")
    return decoder(keys, STEP, mixers, feeds)


FAMILIES: Mapping[str, Reader] = {"step3p5": step}
