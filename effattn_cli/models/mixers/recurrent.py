"""Mixers that keep a state of one size, however long the sequence is."""

import math
from collections.abc import Mapping

from effattn_cli.architecture import Kept
from effattn_cli.models.mixers.widths import Formula, Half, Widths, recent, state
from effattn_cli.models.pieces import linear

KIND = "linear_attention"


def low_rank(inputs: int, rank: int, outputs: int, *, bias: bool = False) -> int:
    """Parameters of a projection by way of fewer numbers."""
    return linear(inputs, rank) + linear(rank, outputs, bias=bias)


def convolved(at: Widths, channels: int, *, bias: bool = False) -> Half:
    """A short causal convolution of each channel by itself, of `conv` tokens; nothing of none."""
    taps = at["conv"]
    return (channels * (taps + bias), recent(channels, taps - 1)) if taps else (0, ())


def gated_deltanet(at: Widths) -> Half:
    keys = at.either("key_heads", at.heads) * at.head_dim
    width = at.either("value_width", at.head_dim)
    values = at.heads * width
    taps, before = convolved(at, 2 * keys + values)
    parameters = linear(at.dim, 2 * keys + 3 * values) + taps  # q, k, v, the gate, the output
    parameters += 2 * linear(at.dim, at.heads) + 2 * at.heads + width  # decay, beta, their numbers
    return parameters, (state(at.heads * at.head_dim * width), *before)


def deltanet(at: Widths) -> Half:
    taps, before = convolved(at, 3 * at.channels)
    parameters = 4 * linear(at.dim, at.channels) + linear(at.dim, at.heads) + taps + at.head_dim
    return parameters, (state(at.channels * at.head_dim), *before)


def kda(at: Widths) -> Half:
    """Decay and gate have a number for each channel, by way of a head's width unless full."""
    keys = at.either("key_heads", at.heads) * at.head_dim
    taps, before = convolved(at, 2 * keys + at.channels)
    narrow = {"none": 2, "gate": 1, "both": 0}[at["full_rank"]]
    parameters = linear(at.dim, 2 * keys + 2 * at.channels + at.heads) + taps
    parameters += narrow * low_rank(at.dim, at.head_dim, at.channels)
    parameters += (2 - narrow) * linear(at.dim, at.channels)
    parameters += at.heads + at.channels + at.head_dim  # the decay's numbers, and the norm
    return parameters, (state(at.channels * at.head_dim), *before)


def gdn2(at: Widths) -> Half:
    """The heads that share a key have one state, whose values stand side by side."""
    keys = at.either("key_heads", at.heads) * at.head_dim
    width = at.either("value_width", at.head_dim)
    values = at.heads * width
    taps, before = convolved(at, 2 * keys + values)
    parameters = linear(at.dim, 3 * keys + 3 * values) + taps  # q, k, erase; v, write, output
    parameters += low_rank(at.dim, width, keys) + low_rank(at.dim, width, values, bias=True)
    parameters += keys // at.head_dim + keys + width
    return parameters, (state(at.head_dim * values), *before)


def mamba2(at: Widths) -> Half:
    shared = at["groups"] * at["state"]  # numbers of B, and of C
    taps, before = convolved(at, at.channels + 2 * shared, bias=True)
    parameters = linear(at.dim, 3 * at.channels + 2 * shared + at.heads) + taps
    parameters += 3 * at.heads + at.channels  # rate, direct path and bias; the norm
    return parameters, (state(at.channels * at["state"]), *before)


def mamba(at: Widths) -> Half:
    rank, wide = at.either("dt_rank", math.ceil(at.dim / 16)), at.channels
    selected = rank + 2 * at["state"]
    taps, before = convolved(at, wide, bias=True)
    parameters = linear(at.dim, 3 * wide) + taps + linear(wide, selected)
    parameters += linear(rank, wide, bias=True) + (at["state"] + 1) * wide
    parameters += selected if at["normed"] else 0
    return parameters, (state(wide * at["state"]), *before)


def mamba3(at: Widths) -> Half:
    """The state, the last B x, and the angles so far, of `rank` inputs a token."""
    vectors, rank = at["rank"] * at["state"], at["rank"]
    pairs = int(at["state"] * at["turned"]) // 2
    parameters = linear(at.dim, 3 * at.channels + 2 * at["groups"] * vectors + 3 * at.heads + pairs)
    parameters += 2 * at.heads + 2 * at["state"] + 2 * at.heads * vectors
    parameters += 3 * at.channels * rank if rank > 1 else 0
    kept = state(at.channels * at["state"] + at.heads * pairs)
    last = Kept(what="recurrent state", numbers=at.heads * vectors + at.channels)
    return parameters, (kept, last)


def gla(at: Widths) -> Half:
    width = at.either("key_width", max(1, at.head_dim // 2))
    keys = at.heads * width
    parameters = linear(at.dim, 2 * keys + 3 * at.channels) + at.head_dim
    parameters += low_rank(at.dim, at["rank"], keys, bias=True)
    return parameters, (state(keys * at.head_dim),)


def retnet(at: Widths) -> Half:
    width = at.either("value_width", 2 * at.head_dim)
    parameters = linear(at.dim, 2 * at.channels + 3 * at.heads * width)
    return parameters, (state(at.channels * width),)


def lightning(at: Widths) -> Half:
    """q, k, v, the gate and the output, and a norm over all heads."""
    return 5 * linear(at.dim, at.channels) + at.channels, (state(at.channels * at.head_dim),)


def hgrn2(at: Widths) -> Half:
    return 4 * linear(at.dim, at.channels) + at.channels, (state(at.channels * at.head_dim),)


def rwkv7(at: Widths) -> Half:
    """Six inputs, three of them by way of a rank, each of its own mixture with the last token."""
    usual = {"decay": 2.5, "rate": 2.5, "gate": 5.0}
    parameters = 4 * linear(at.dim, at.channels) + 6 * at.dim + 5 * at.channels
    for name, factor in usual.items():
        rank = at[f"{name}_rank"] or max(32, 32 * round(factor * at.dim**0.5 / 32))
        parameters += low_rank(at.dim, rank, at.channels, bias=name != "gate")
    return parameters, (state(at.channels * at.head_dim), *recent(at.dim, 1))


def mlstm(at: Widths) -> Half:
    """A matrix and a sum of keys for each head, and the logarithm that both are scaled by."""
    width = max(1, int(at.head_dim * at["key_width"]))
    parameters = linear(at.dim, at.heads * width + at.kv_heads * width + at.kv_channels)
    parameters += 2 * linear(at.dim, at.channels) + at.channels
    parameters += 2 * linear(at.dim, at.heads, bias=True)
    return parameters, (state(at.heads * ((at.head_dim + 1) * width + 1)),)


def rg_lru(at: Widths) -> Half:
    """A number for each channel; the gates are made in each head of its own channels."""
    taps, before = convolved(at, at.channels, bias=True)
    parameters = 3 * linear(at.dim, at.channels) + taps
    parameters += 2 * at.heads * linear(at.head_dim, at.head_dim, bias=True) + at.channels
    return parameters, (state(at.channels), *before)


def kernel(at: Widths, features: int, keys: int, extra: int = 0) -> Half:
    """Sums of [v, 1] for each feature of the keys, which are `keys` numbers wide."""
    parameters = linear(at.dim, (at.heads + at.kv_heads) * (keys + at.head_dim)) + extra
    return parameters, (state(at.heads * features * (at.head_dim + 1)),)


def linear_transformer(at: Widths) -> Half:
    return kernel(at, at.head_dim, at.head_dim)


def based(at: Widths) -> Half:
    """Each product of two of the numbers and 1, once."""
    width = at["feature_dim"]
    return kernel(at, (width + 1) * (width + 2) // 2, width)


def hedgehog(at: Widths) -> Half:
    """Two matrices for each head, of queries and of keys."""
    return kernel(at, 2 * at.head_dim, at.head_dim, extra=2 * at.channels * at.head_dim)


def short_conv(at: Widths) -> Half:
    parameters = 4 * linear(at.dim, at.channels) + at.channels * (at["taps"] + at["bias"])
    return parameters, recent(at.channels, at["taps"] - 1)


FORMULAS: Mapping[str, Formula] = {
    name.replace("_", "-"): Formula(kind=KIND, half=half)
    for name, half in {
        "gated_deltanet": gated_deltanet, "deltanet": deltanet, "kda": kda, "gdn2": gdn2,
        "mamba2": mamba2, "mamba": mamba, "mamba3": mamba3, "gla": gla, "retnet": retnet,
        "lightning": lightning, "hgrn2": hgrn2, "rwkv7": rwkv7, "mlstm": mlstm, "rg_lru": rg_lru,
        "linear_transformer": linear_transformer, "based": based, "hedgehog": hedgehog,
    }.items()
} | {"short-conv": Formula(kind="conv", half=short_conv)}  # fmt: skip
