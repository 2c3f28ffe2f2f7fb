"""Gemma: soft caps, windows, shared keys and values, embeddings for each layer."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, Literal

from msgspec import Meta, ValidationError, convert
from msgspec.structs import replace as altered

from effattn_cli.architecture import Feed, Mixer, Model
from effattn_cli.models.decoder import (
    ACTIVATION,
    DIM,
    WINDOW,
    Shape,
    Style,
    attention,
    biases,
    decoder,
    kinds,
    shape_of,
)  # fmt: skip
from effattn_cli.models.families.dense import ATTENTION
from effattn_cli.models.families.reader import Reader
from effattn_cli.models.keys import Keys
from effattn_cli.models.layouts import FULL, full_every
from effattn_cli.models.pieces import dense, experts, linear, norm

GEMMA = replace(ATTENTION, activation="gelu_pytorch_tanh", tied=True)
GEMMA2 = replace(GEMMA, norms=4, layout=full_every(2))
SHARED = "a layer that attends to another's keys and values keeps none; its variant has no window"
BOTH_WAYS = "tokens that see those after them are not read of this family"


def causal(style: Style, keys: Keys) -> Model:
    """A decoder whose tokens see none after them."""
    if keys.get("use_bidirectional_attention"):
        raise keys.refuse("use_bidirectional_attention", BOTH_WAYS)
    return decoder(keys, style)


def gemma3(keys: Keys) -> Model:
    """Windows but in every sixth layer, heads normed."""
    names = ("sliding_window_pattern", "_sliding_window_pattern")
    return causal(replace(GEMMA2, qk_norm="head", layout=full_every(6, *names)), keys)


@dataclass(frozen=True)
class Plan:
    """The layers of a model in which the last ones may reuse what earlier ones keep."""

    kinds: list[str]
    shapes: list[Shape]
    reuses: list[bool]
    one_projection: bool = False  # keys and values of full layers come of one


def sharing(keys: Keys, count: int) -> list[bool]:
    """Of each layer whether it reuses keys and values of an earlier one."""
    shared = keys.count("num_kv_shared_layers", default=0, least=0)
    if shared > count:
        raise keys.refuse("num_kv_shared_layers", f"there are {count} layers")
    return [place >= count - shared for place in range(count)]


def mixed(keys: Keys, style: Style, plan: Plan) -> list[Mixer]:
    """The attention of each layer."""
    return [
        lent(keys, style, shape, kind) if reuse
        else owned(keys, style, shape, kind, one=plan.one_projection and kind == FULL)
        for kind, shape, reuse in zip(plan.kinds, plan.shapes, plan.reuses, strict=True)
    ]  # fmt: skip


def owned(keys: Keys, style: Style, shape: Shape, kind: str, *, one: bool) -> Mixer:
    """With keys and values of its own; of one projection both, where `one`."""
    values = linear(shape.dim, shape.kv_heads * shape.head_dim, bias=biases(keys, style)[0])
    return attention(keys, style, shape, kind, extra=-values if one else 0)


def lent(keys: Keys, style: Style, shape: Shape, kind: str) -> Mixer:
    """With queries only, normed."""
    keys.skip(*WINDOW)
    qkv, out = biases(keys, style)
    wide = shape.heads * shape.head_dim
    parameters = linear(shape.dim, wide, bias=qkv) + linear(wide, shape.dim, bias=out)
    return Mixer(
        kind=kind, variant="kv-sharing", heads=shape.heads, kv_heads=shape.kv_heads,
        head_dim=shape.head_dim, parameters=parameters + shape.head_dim,
    )  # fmt: skip


def gemma4(keys: Keys) -> Model:
    """Wider heads in full layers, which may take keys and values of one projection."""
    if keys.get("use_bidirectional_attention") == "all":
        raise keys.refuse("use_bidirectional_attention", BOTH_WAYS)
    style = replace(GEMMA2, qk_norm="head", layout=full_every(6, last=True))
    order = kinds(keys, style)
    order[-1] = FULL
    shapes = [gemma4_shape(keys, place, kind) for place, kind in enumerate(order)]
    reuses = sharing(keys, len(order))
    plan = Plan(order, shapes, reuses, keys.flag("attention_k_eq_v"))
    doubled = keys.flag("use_double_wide_mlp")
    widths = [keys.count("intermediate_size") * (2 if doubled and reuse else 1) for reuse in reuses]
    feeds = [gemma4_feed(keys, width) for width in widths]
    model = decoder(keys, style, lambda keys, style: mixed(keys, style, plan), lambda *_: feeds)
    mixture = 3 * norm(model.dim, "rms") if keys.flag("enable_moe_block") else 0
    model = with_layer_inputs(keys, model, extra=mixture)
    return altered(model, notes=(*model.notes, SHARED)) if any(reuses) else model


def gemma4_shape(keys: Keys, place: int, kind: str) -> Shape:
    """The widths of a layer: `per_layer_config` has those that differ from the usual ones."""
    shape = shape_of(keys)
    configs = per_layer(keys)
    heads = keys.get("num_global_key_value_heads") if keys.flag("attention_k_eq_v") else None
    width = keys.count("global_head_dim", default=512)
    if configs is None:
        own: Mapping[str, Any] = {"head_dim": width, "num_key_value_heads": heads}
        own = own if kind == FULL else {}
    else:
        own = configs.get(place, {})
    return replace(
        shape, head_dim=own.get("head_dim") or shape.head_dim,
        kv_heads=own.get("num_key_value_heads") or shape.kv_heads,
    )  # fmt: skip


def per_layer(keys: Keys) -> dict[int, dict[str, int]] | None:
    """What differs in some layers, by their places; None where the config does not say."""
    Widths = dict[Literal["head_dim", "num_key_value_heads"], Annotated[int, Meta(ge=1)]]
    try:
        found: Any = convert(keys.get("per_layer_config"), dict[str, Widths] | None)
        return None if found is None else {int(place): own for place, own in found.items()}
    except (ValidationError, ValueError) as error:
        raise keys.refuse("per_layer_config", str(error)) from error


def gemma4_feed(keys: Keys, width: int) -> Feed:
    """Dense, with experts beside it where there are any."""
    dim, activation = keys.count(*DIM), keys.word(*ACTIVATION, default=GEMMA.activation)
    plain = dense(dim, width, activation, gated=True)
    if not keys.flag("enable_moe_block"):
        keys.skip("num_experts", "moe_intermediate_size", "top_k_experts")
        return plain
    count = keys.count("num_experts")
    return experts(
        dim, keys.count("moe_intermediate_size", "expert_intermediate_size"), activation,
        count=count, chosen=keys.count("top_k_experts"), shared=width, extra=dim + count,
    )  # fmt: skip


def with_layer_inputs(keys: Keys, model: Model, extra: int = 0) -> Model:
    """With a second embedding, of which each layer reads its own part, where there is one;
    `extra` counts parameters of a layer's own.
    """
    width, count = keys.count("hidden_size_per_layer_input", default=0, least=0), len(model.layers)
    if width:
        extra += 2 * linear(model.dim, width) + norm(model.dim, "rms")
    layers = tuple(altered(layer, parameters=layer.parameters + extra) for layer in model.layers)
    rows = keys.count("vocab_size_per_layer_input", default=model.vocab) if width else 0
    around = linear(model.dim, count * width) + width
    return altered(
        model, layers=layers, embedding=model.embedding + rows * count * width,
        other=model.other + (around if width else 0),
    )  # fmt: skip


def gemma3n(keys: Keys) -> Model:
    """Four streams beside one another, of which a layer computes one; low-rank side paths."""
    style = replace(GEMMA2, qk_norm="head", layout=full_every(5))
    keys.skip("activation_sparsity_pattern")
    order = kinds(keys, style)
    count, shape = len(order), shape_of(keys)
    one = not isinstance(keys.get("intermediate_size"), list)
    widths = [keys.count("intermediate_size")] * count if one else keys.numbers("intermediate_size")
    widths = widths or []
    if len(widths) != count:
        raise keys.refuse("intermediate_size", f"{len(widths)} widths for {count} layers")
    activation = keys.word(*ACTIVATION, default=style.activation)
    reuses = sharing(keys, count)
    plan = Plan(order, [shape] * count, reuses)
    feeds = [dense(shape.dim, width, activation, gated=True) for width in widths]
    model = decoder(keys, style, lambda keys, style: mixed(keys, style, plan), lambda *_: feeds)
    streams = keys.count("altup_num_inputs", default=4)
    extra = streams**2 + streams**3 + streams * shape.dim + shape.dim
    extra += shape.dim if keys.flag("altup_correct_scale", default=True) else 0
    extra += 2 * linear(shape.dim, keys.count("laurel_rank", default=64)) + shape.dim
    model = with_layer_inputs(keys, model, extra)
    return altered(
        model, other=model.other + 2 * (streams - 1) * linear(shape.dim, shape.dim),
        notes=(*model.notes, *((SHARED,) if any(reuses) else ())),
    )  # fmt: skip


def assistant(keys: Keys) -> Model:
    """Drafts for a larger Gemma 4, whose keys and values it reads."""
    if keys.flag("use_ordered_embeddings"):
        raise keys.refuse("use_ordered_embeddings", "a head in clusters is not known")
    keys.skip("num_centroids", "centroid_intermediate_top_k")
    part = keys.part("text_config")
    model = gemma4(part)
    if any(layer.keeps for layer in model.layers):
        raise part.refuse("num_kv_shared_layers", "an assistant keeps nothing of its own")
    backbone = keys.count("backbone_hidden_size")
    other = model.other + linear(2 * backbone, model.dim) + linear(model.dim, backbone)
    return altered(model, other=other)


FAMILIES: Mapping[str, Reader] = {
    "gemma": partial(causal, GEMMA),
    "gemma2": partial(causal, GEMMA2),
    "gemma3_text": gemma3,
    "gemma3n_text": gemma3n,
    "gemma4_assistant": assistant,
    "gemma4_text": gemma4,
    "gemma4_unified_assistant": assistant,
    "gemma4_unified_text": gemma4,
    "vaultgemma": partial(causal, replace(GEMMA2, norms=2)),
}  # fmt: skip
