"""Hybrids with short convolutions and small recurrences: LFM, RecurrentGemma, xLSTM, ZAYA."""

from collections.abc import Mapping, Sequence
from functools import partial
from math import ceil

from msgspec.structs import replace

from effattn_cli.architecture import Feed, Mixer, Model
from effattn_cli.cards import Stored
from effattn_cli.models.families.delta import attention
from effattn_cli.models.families.reader import Reader
from effattn_cli.models.hybrid import Make, a_width, expert_feed, kinds, mixers, plain_feed, whole
from effattn_cli.models.keys import Keys
from effattn_cli.models.mixers import named
from effattn_cli.models.pieces import dense, linear, norm, softmax


def short_conv(keys: Keys) -> Mixer:
    """A gated convolution of each channel; a bias is in all three of its parts, or in none."""
    dim, taps, bias = keys.count("hidden_size"), keys.count("conv_L_cache"), keys.flag("conv_bias")
    options: dict[str, Stored] = {} if taps == 3 else {"taps": taps}
    options |= {"bias": True} if bias else {}
    mixer = named("short-conv", options, dim, 1, 1, dim)
    return replace(mixer, parameters=mixer.parameters + (4 * dim if bias else 0))


def head_gated(keys: Keys, *, window: str = "") -> Mixer:
    """Attention with norms of q and k, and a gate of one number for each head where asked for."""
    mixer, heads = attention(keys, window=window), keys.count("num_attention_heads")
    if not keys.flag("use_attention_gate"):
        return mixer
    more = linear(keys.count("hidden_size"), heads)
    gated = mixer if window else replace(
        mixer, variant="gated-attention", options={"gate": "head", **mixer.options}
    )  # fmt: skip
    return replace(gated, parameters=gated.parameters + more)


def lfm2(keys: Keys) -> Model:
    """Short convolutions with attention in some layers."""
    count, full = keys.count("num_hidden_layers"), keys.numbers("full_attn_idxs")
    full = list(range(count)) if full is None else full
    order = kinds(keys, ["full_attention" if index in full else "conv" for index in range(count)])
    width = keys.count("block_ff_dim", "intermediate_size")
    if keys.flag("block_auto_adjust_ff_dim"):
        width = int(2 * width / 3)
        if keys.get("block_ffn_dim_multiplier") is not None:
            multiple = keys.count("block_multiple_of")
            width = int(keys.number("block_ffn_dim_multiplier") * width)
            width = multiple * ceil(width / multiple)
    a_width(keys, "block_ffn_dim_multiplier", width)
    feed = dense(keys.count("hidden_size"), width, "silu", gated=True)
    tied = keys.flag("tie_embedding", default=True)
    keys.assume({"tie_word_embeddings": tied}, derived=True)
    return of_convolutions(keys, order, [feed] * count)


def lfm2_moe(keys: Keys) -> Model:
    """The same with experts in all but the first layers; the order of kinds must be given."""
    count, few = keys.count("num_hidden_layers"), keys.count("num_dense_layers", minimum=0)
    full = keys.numbers("full_attn_idxs")
    if full is None and "layer_types" not in keys:
        raise keys.refuse("layer_types", "the family has no usual order of kinds")
    usual = ["full_attention" if index in (full or ()) else "conv" for index in range(count)]
    order = kinds(keys, usual)
    half = [plain_feed(keys) if index < few else expert_feed(keys) for index in range(count)]
    keys.skip("use_expert_bias")
    tied = keys.flag("tie_embedding", default=True)
    keys.assume({"tie_word_embeddings": tied}, derived=True)
    return of_convolutions(keys, order, half)


def lfm3(keys: Keys) -> Model:
    """Short convolutions, windows and full attention, with norms behind each half, too."""
    period = ("sliding_attention", "conv", "full_attention", "conv")
    count = keys.count("num_hidden_layers")
    order = kinds(keys, ["conv", *(period[index % 4] for index in range(1, count))])
    norms = 4 if keys.flag("use_sandwich_norm") else 2
    half = [plain_feed(keys)] * len(order)
    return of_convolutions(keys, order, half, norms=norms)


def of_convolutions(
    keys: Keys, order: Sequence[str], half: Sequence[Feed], *, norms: int = 2
) -> Model:
    makers: dict[str, Make] = {
        "conv": short_conv, "full_attention": head_gated,
        "sliding_attention": partial(head_gated, window="sliding_window"),
    }  # fmt: skip
    if "sliding_attention" in order and keys.flag("use_attention_gate"):
        notes = ["the gate of window layers is counted as weights, and not measured"]
    else:
        notes = []
    return whole(keys, mixers(keys, order, makers), half, norms=norms, tied=True, notes=notes)


def recurrent_gemma(keys: Keys) -> Model:
    """Two layers of RG-LRU to one of attention with a window; the head's are the embedding's."""
    dim, heads = keys.count("hidden_size"), keys.count("num_attention_heads")
    wide = keys.count("lru_width", default=dim)
    conv = keys.count("conv1d_width")
    options: dict[str, Stored] = {"whole_first": True, **({} if conv == 4 else {"conv": conv})}
    lru = named("rg-lru", options, dim, heads, heads, wide // heads)
    lru = replace(lru, parameters=lru.parameters + 2 * wide + dim)  # biases of all three
    near = softmax(
        dim, heads, keys.count("num_key_value_heads", default=heads), dim // heads,
        kind="sliding_attention", window=keys.count("attention_window_size", "sliding_window"),
        qkv_bias=keys.flag("attention_bias"), out_bias=True,
    )  # fmt: skip
    keys.skip("head_dim")
    period = keys.items("block_types", "_block_types") or ["recurrent", "recurrent", "attention"]
    count = keys.count("num_hidden_layers")
    order = [str(period[index % len(period)]) for index in range(count)]
    makers = {"recurrent": lambda _: lru, "attention": lambda _: near}
    act = keys.word("hidden_activation", default="gelu_pytorch_tanh")
    feed = dense(dim, keys.count("intermediate_size") // 2, act, gated=True, bias=True)
    return whole(keys, mixers(keys, order, makers), [feed] * count, tied=True)


def xlstm(keys: Keys) -> Model:
    """Layers of mLSTM, as in xLSTM-7B."""
    dim, heads = keys.count("hidden_size", "embedding_dim"), keys.count("num_heads")
    count = keys.count("num_hidden_layers", "num_blocks")
    keys.skip("embedding_dim", "num_blocks", "chunk_size", "gate_soft_cap")
    if keys.flag("use_bias") or not keys.flag("add_out_norm"):
        raise keys.refuse("use_bias", "biases, or no last norm, are not known of this family")
    queries = int(keys.number("qk_dim_factor") * dim) // heads
    values = int(keys.number("v_dim_factor") * dim) // heads
    a_width(keys, "qk_dim_factor", queries)
    a_width(keys, "v_dim_factor", values)
    options: dict[str, Stored] = {} if 2 * queries == values else {"key_width": queries / values}
    mixer = named("mlstm", options, dim, heads, heads, values)
    multiple = keys.count("ffn_round_up_to_multiple_of")
    width = multiple * ceil(keys.number("ffn_proj_factor") * dim / multiple)
    a_width(keys, "ffn_proj_factor", width)
    keys.assume({"num_hidden_layers": count, "hidden_size": dim}, derived=True)
    feed = dense(dim, width, "silu", gated=True)
    return whole(keys, [mixer] * count, [feed] * count)


def zaya(keys: Keys) -> Model:
    """Compressed convolutional attention, and experts chosen by a network of their own."""
    dim, heads = keys.count("hidden_size"), keys.count("num_attention_heads")
    kv_heads, width = keys.count("num_key_value_heads"), keys.count("head_dim")
    for name in ("attention_bias", "lm_head_bias"):
        if keys.flag(name):
            raise keys.refuse(name, "biases are not known of this family")
    for name in ("cca_time0", "cca_time1"):
        if keys.count(name, default=2) != 2:
            raise keys.refuse(name, "the catalogue's variant has convolutions of two taps")
    mixer = named("cca", {}, dim, heads, kv_heads, width)
    order = kinds(keys, "hybrid")
    if "hybrid_sliding" in order:
        raise keys.refuse("layer_types", "its attention with a window is not in the catalogue")
    count, hidden = keys.count("num_experts"), keys.count("router_hidden_size")
    router = linear(dim, hidden, bias=True) + norm(hidden, "rms")
    router += 2 * linear(hidden, hidden, bias=True) + linear(hidden, count + 1)
    first = expert_feed(keys, shared=0, extra=router - linear(dim, count))
    later = replace(first, parameters=first.parameters + hidden, always=first.always + hidden)
    half = [later if index else first for index in range(len(order))]
    made = mixers(keys, order, {"hybrid": lambda _: mixer})
    notes = ["one more choice of the router has no expert: such a token passes"]
    keys.skip("sliding_window")
    return whole(keys, made, half, outside=8 * dim, other=2 * dim, tied=True, notes=notes)


FAMILIES: Mapping[str, Reader] = {
    "lfm2": lfm2,
    "lfm2_moe": lfm2_moe,
    "lfm3": lfm3,
    "recurrent_gemma": recurrent_gemma,
    "xlstm": xlstm,
    "zaya": zaya,
}
