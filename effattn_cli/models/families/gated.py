"""Decoders with gates, sinks, chunks or widths of their own for each kind of layer."""

from collections.abc import Mapping
from dataclasses import replace

from msgspec.structs import replace as altered

from effattn_cli.architecture import Feed, Mixer, Model
from effattn_cli.models.decoder import (
    ACTIVATION,
    DIM,
    KV_HEADS,
    Style,
    attention,
    decoder,
    feeds,
    kinds,
    shape_of,
)  # fmt: skip
from effattn_cli.models.families.dense import ATTENTION, MUSE, QUERIES, USED
from effattn_cli.models.families.reader import Reader
from effattn_cli.models.keys import Keys
from effattn_cli.models.layer_kinds import (
    CHUNKED,
    FULL,
    LAYERS,
    SLIDING,
    full_every,
    full_where,
    given,
    only,
)
from effattn_cli.models.mixture import CHOSEN, EXPERTS, Mixture, first, layer_kinds, mixture
from effattn_cli.models.pieces import dense, experts, linear


def beam(keys: Keys) -> Model:
    """Gates for each channel with a bias for each head; the last layer is full."""
    style = replace(ATTENTION, norms=4, qk_norm="head", gate="element",
                    layout=full_every(6, last=True))  # fmt: skip

    def mixers(keys: Keys, style: Style) -> list[Mixer]:
        shape = shape_of(keys)
        order = kinds(keys, style)
        return [attention(keys, style, shape, kind, extra=shape.heads) for kind in order]

    return decoder(keys, style, mixers, mixture(Mixture(dense=first(3), shared_count=0)))


def bitnet(keys: Keys) -> Model:
    """Norms also before the last projection of either half."""

    def mixers(keys: Keys, style: Style) -> list[Mixer]:
        shape = shape_of(keys)
        return [attention(keys, style, shape, extra=shape.dim)] * keys.count(*LAYERS)

    def normed(keys: Keys, style: Style) -> list[Feed]:
        feed = feeds(keys, style)[0]
        more = feed.parameters + feed.width
        return [altered(feed, parameters=more, always=more)] * keys.count(*LAYERS)

    note = "weights are ternary in its released files; dtype is that of the computation"
    return decoder(keys, replace(ATTENTION, notes=(note,)), mixers, normed)


def dbrx(keys: Keys) -> Model:
    """Its halves have configs of their own."""
    attn, ffn = keys.part("attn_config"), keys.part("ffn_config")
    kv_heads = attn.count("kv_n_heads", default=1)
    dim = keys.count(*DIM)
    activation = (ffn.get("ffn_act_fn") or {}).get("name", "silu")
    feed = experts(
        dim, ffn.count("ffn_hidden_size", default=3584), activation,
        count=ffn.count("moe_num_experts", default=4), chosen=ffn.count("moe_top_k", default=1),
    )  # fmt: skip
    keys.skip(*KV_HEADS)
    ffn.skip("moe_normalize_expert_weights", "moe_loss_weight")
    style = Style(norm="layer", norm_bias=False, bias_keys=(), feed_keys=())

    def mixers(keys: Keys, style: Style) -> list[Mixer]:
        shape = replace(shape_of(keys), kv_heads=kv_heads)
        return [attention(keys, style, shape)] * keys.count(*LAYERS)

    return decoder(keys, style, mixers, lambda keys, _: [feed] * keys.count(*LAYERS))


def diffllama(keys: Keys) -> Model:
    """Pairs of heads, of which the second is subtracted."""

    def mixers(keys: Keys, style: Style) -> list[Mixer]:
        shape = shape_of(keys)
        plain = attention(keys, style, shape, extra=4 * shape.head_dim)
        return [altered(plain, variant="differential", options={"version": 1})] * keys.count(
            *LAYERS
        )

    return decoder(keys, ATTENTION, mixers)


def ernie(keys: Keys) -> Model:
    """Experts in every so many layers of a range."""

    def plain(keys: Keys, count: int) -> list[bool]:
        start = keys.count("moe_layer_start_index", default=1, minimum=0)
        end = keys.count("moe_layer_end_index", default=-1, minimum=-1)
        end = count - 1 if end == -1 else end
        step = keys.count("moe_layer_interval", default=1)
        return [bool((index + 1) % step) or not start <= index <= end for index in range(count)]

    keys.skip("moe_gate", "moe_use_aux_free", "moe_dropout_prob", "moe_use_hard_gate")
    how = Mixture(dense=plain, corrected=True)
    return decoder(keys, replace(USED, head_keys=("use_bias",)), feeds=mixture(how))


def laguna(keys: Keys) -> Model:
    """Layers may differ in how many heads they have; gates for each of them, or each channel."""
    gating = keys.get("gating", default=True)
    if gating not in (True, "per-head", "per-element"):
        raise keys.refuse("gating", "expected true, per-head or per-element")
    by_head = gating in (True, "per-head")
    style = replace(
        ATTENTION, qk_norm="head", gate="softplus" if by_head else "element", layout=only(FULL)
    )
    many = keys.numbers("num_attention_heads_per_layer")

    def mixers(keys: Keys, style: Style) -> list[Mixer]:
        shape, order = shape_of(keys), kinds(keys, style)
        heads = many or [shape.heads] * len(order)
        if len(heads) != len(order) or min(heads) < 1:
            raise keys.refuse("num_attention_heads_per_layer", f"expected {len(order)} numbers")
        return [
            attention(keys, style, replace(shape, heads=number), kind)
            for number, kind in zip(heads, order, strict=True)
        ]

    how = Mixture(dense=first(1), shared_width=("shared_expert_intermediate_size",), corrected=True)
    return decoder(keys, style, mixers, mixture(how))


def llama4(keys: Keys) -> Model:
    """Chunks where there are positions; experts in every so many layers, one of them shared."""
    chunk = keys.get("attention_chunk_size")
    turned = keys.numbers("no_rope_layers")

    def layout(keys: Keys, count: int) -> list[str]:
        every = keys.count("no_rope_layer_interval", default=4)
        flags = turned or [(index + 1) % every for index in range(count)]
        return [CHUNKED if flag and chunk else FULL for flag in flags]

    def plain(keys: Keys, count: int) -> list[bool]:
        step = keys.count("interleave_moe_layer_step", default=1)
        sparse = keys.numbers("moe_layers")
        sparse = list(range(step - 1, count, step)) if sparse is None else sparse
        return [index not in sparse for index in range(count)]

    def mixers(keys: Keys, style: Style) -> list[Mixer]:
        shape = shape_of(keys)
        order = given(keys, layout, (FULL, CHUNKED))
        return [attention(keys, style, shape, kind) for kind in order]

    how = Mixture(
        dense=plain, width=("intermediate_size",), dense_width=("intermediate_size_mlp",),
        shared_count=1,
    )  # fmt: skip
    keys.skip("use_qk_norm")  # without weights
    return decoder(keys, ATTENTION, mixers, mixture(how))


def mimo(keys: Keys) -> Model:
    """Window layers have twice as many kv heads, and sinks."""
    keys.skip("attention_chunk_size")  # of no effect: no layer is chunked
    size = keys.get("sliding_window_size")  # tokens before the query's own

    def layout(keys: Keys, count: int) -> list[str]:
        pattern = keys.numbers("hybrid_layer_pattern")
        usual = full_where(lambda index, _: index == 0 or not (index + 1) % 6)(keys, count)
        return [SLIDING if window else FULL for window in pattern] if pattern else usual

    def mixers(keys: Keys, style: Style) -> list[Mixer]:
        shape = replace(shape_of(keys), value_dim=keys.count("v_head_dim", default=128))
        wide = replace(
            shape, kv_heads=keys.count("swa_num_key_value_heads", default=2 * shape.kv_heads),
            heads=keys.count("swa_num_attention_heads", default=shape.heads),
            head_dim=keys.count("swa_head_dim", default=shape.head_dim),
            value_dim=keys.count("swa_v_head_dim", default=shape.value_dim),
        )  # fmt: skip
        window = size + 1 if isinstance(size, int) else None
        return [
            attention(keys, style, wide if kind == SLIDING else shape, kind, window=window)
            for kind in kinds(keys, style)
        ]

    def frequency(keys: Keys, count: int) -> list[bool]:
        experts = keys.numbers("moe_layer_freq")
        return [not one for one in experts] if experts else [index == 0 for index in range(count)]

    note = "keys are wider than values; in a variant, values are as wide"
    style = replace(QUERIES, sinks="sliding", layout=layout, notes=(note,))
    for key, usual in (
        ("add_swa_attention_sink_bias", True),
        ("add_full_attention_sink_bias", False),
    ):
        if keys.flag(key, default=usual) is not usual:
            raise keys.refuse(key, f"transformers builds it with {usual} only")
    return decoder(keys, style, mixers, mixture(Mixture(dense=frequency)))


def muse_spark(keys: Keys) -> Model:
    """Experts within a narrower stream; each half is gated into the stream."""

    def sparse(keys: Keys, _: Style) -> list[Feed]:
        dim, inner = keys.count(*DIM), keys.count("moe_hidden_size")
        activation, count = keys.word(*ACTIVATION, default="silu"), keys.count(*EXPERTS)
        around = linear(dim, count) - linear(inner, count) + 2 * linear(dim, inner) + 2 * inner
        feed = experts(
            inner, keys.count("moe_intermediate_size"), activation, count=count,
            chosen=keys.count(*CHOSEN), extra=around,
        )  # fmt: skip
        plain = dense(dim, keys.count("intermediate_size"), activation, gated=True)
        return [plain if kind else feed for kind in layer_kinds(keys, first(0))]

    return decoder(keys, replace(MUSE, norms=5), feeds=sparse)


def molmo2(keys: Keys) -> Model:
    """Heads are normed one by one, or all together; the vocabulary has rows of its own beyond."""
    kind = keys.word("qk_norm_type", default="qwen3")
    if kind not in ("qwen3", "olmo"):
        raise keys.refuse("qk_norm_type", "expected qwen3 or olmo")
    style = replace(ATTENTION, qk_norm="head" if kind == "qwen3" else "width", headless=True)
    model = decoder(keys, style)
    rows = keys.count("additional_vocab_size", default=128, minimum=0)
    return altered(model, embedding=model.embedding + rows * model.dim)


FAMILIES: Mapping[str, Reader] = {
    "beam": beam,
    "bitnet": bitnet,
    "dbrx": dbrx,
    "diffllama": diffllama,
    "ernie4_5_moe": ernie,
    "laguna": laguna,
    "llama4_text": llama4,
    "mimo_v2_flash": mimo,
    "molmo2_text": molmo2,
    "muse_spark_text": muse_spark,
}
