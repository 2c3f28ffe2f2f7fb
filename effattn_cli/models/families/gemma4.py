"""Gemma 4: layers with widths of their own, keys and values of one projection, experts."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

from msgspec import Meta, ValidationError, convert
from msgspec.structs import replace as altered

from effattn_cli.architecture import Feed, Mixer, Model
from effattn_cli.models.decoder import (
    ACTIVATION,
    DIM,
    Shape,
    Style,
    attention,
    decoder,
    kinds,
    shape_of,
)  # fmt: skip
from effattn_cli.models.families.gemma import (
    BOTH_WAYS,
    GEMMA,
    GEMMA2,
    SHARED,
    Plan,
    mixed,
    sharing,
    with_layer_inputs,
)  # fmt: skip
from effattn_cli.models.families.reader import Reader
from effattn_cli.models.keys import Keys
from effattn_cli.models.layer_kinds import FULL, full_every
from effattn_cli.models.pieces import dense, experts, linear, norm


def gemma4(keys: Keys) -> Model:
    """Wider heads in full layers, which may take keys and values of one projection."""
    if keys.get("use_bidirectional_attention") == "all":
        raise keys.refuse("use_bidirectional_attention", BOTH_WAYS)
    style = replace(GEMMA2, qk_norm="head", layout=full_every(6, last=True))
    order = kinds(keys, style)
    order[-1] = FULL
    shapes = [gemma4_shape(keys, index, kind) for index, kind in enumerate(order)]
    reuses = sharing(keys, len(order))
    plan = Plan(order, shapes, reuses, keys.flag("attention_k_eq_v"))
    doubled = keys.flag("use_double_wide_mlp")
    widths = [keys.count("intermediate_size") * (2 if doubled and reuse else 1) for reuse in reuses]
    feeds = [gemma4_feed(keys, width) for width in widths]
    model = decoder(keys, style, lambda keys, style: mixed(keys, style, plan), lambda *_: feeds)
    mixture = 3 * norm(model.dim, "rms") if keys.flag("enable_moe_block") else 0
    model = with_layer_inputs(keys, model, extra=mixture)
    return altered(model, notes=(*model.notes, SHARED)) if any(reuses) else model


def gemma4_shape(keys: Keys, index: int, kind: str) -> Shape:
    """The widths of a layer: `per_layer_config` has those that differ from the usual ones."""
    shape = shape_of(keys)
    configs = per_layer(keys)
    heads = keys.get("num_global_key_value_heads") if keys.flag("attention_k_eq_v") else None
    width = keys.count("global_head_dim", default=512)
    if configs is None:
        own: Mapping[str, Any] = {"head_dim": width, "num_key_value_heads": heads}
        own = own if kind == FULL else {}
    else:
        own = configs.get(index, {})
    return with_widths(shape, own)


def with_widths(shape: Shape, own: Mapping[str, Any]) -> Shape:
    """The widths of a layer that has some of its own."""
    return replace(
        shape, head_dim=own.get("head_dim") or shape.head_dim,
        kv_heads=own.get("num_key_value_heads") or shape.kv_heads,
    )  # fmt: skip


def per_layer(keys: Keys) -> dict[int, dict[str, int]] | None:
    """What differs in some layers, by their places; None where the config does not say."""
    Widths = dict[Literal["head_dim", "num_key_value_heads"], Annotated[int, Meta(ge=1)]]
    try:
        widths: Any = convert(keys.get("per_layer_config"), dict[str, Widths] | None)
        return None if widths is None else {int(index): own for index, own in widths.items()}
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


def embedding_gemma2(keys: Keys) -> Model:
    """An encoder, whose window is told by what it sees on either side; layers read a projection of
    the embedding.
    """
    style = replace(
        GEMMA2, qk_norm="head", headless=True, causal=False,
        layout=full_every(6, "sliding_window_pattern", last=True),
    )  # fmt: skip
    order = kinds(keys, style)
    order[-1] = FULL
    own, configs = {"head_dim": keys.count("global_head_dim", default=512)}, per_layer(keys)
    own["num_key_value_heads"] = keys.count("num_global_key_value_heads", default=1)
    reach = keys.count("sliding_window")

    def mixers(keys: Keys, style: Style) -> list[Mixer]:
        made = []
        for index, kind in enumerate(order):
            usual = own if kind == FULL else {}
            widths = usual if configs is None else configs.get(index, {})
            shape = with_widths(shape_of(keys), widths)
            made.append(attention(keys, style, shape, kind, window=2 * reach))
        return made

    model = decoder(keys, style, mixers)
    width = keys.count("embedding_dim", default=model.dim)
    model = with_layer_inputs(keys, model, table=False)
    return altered(model, tied=False, other=model.other + linear(model.dim, width))


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
    "embedding_gemma2_text": embedding_gemma2,
    "gemma4_assistant": assistant,
    "gemma4_text": gemma4,
    "gemma4_unified_assistant": assistant,
    "gemma4_unified_text": gemma4,
}
