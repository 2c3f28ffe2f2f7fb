"""Attention to keys and values of each token, or of the last ones."""

from collections.abc import Mapping

from effattn_cli.architecture import Kept
from effattn_cli.models.mixers.widths import Formula, Half, Widths, cache
from effattn_cli.models.pieces import linear


def projected(at: Widths) -> int:
    """Parameters of q, k, v and the output, without biases, and of the norms of q and k; k and v
    may have one projection.
    """
    norms = 2 * at.head_dim if at.options.get("qk_norm") else 0
    of_kv = (1 if at.options.get("k_eq_v") else 2) * linear(at.dim, at.kv_channels)
    return 2 * linear(at.dim, at.channels) + of_kv + norms


def plain(at: Widths) -> Half:
    """Softmax attention; a sink is a number for each head."""
    sinks = at.heads if at.options.get("sinks") is True else 0
    return projected(at) + sinks, (cache(2 * at.kv_channels),)


def sliding(at: Widths) -> Half:
    """The last tokens, and a few first ones that are never dropped; a gate on the output."""
    sinks = at.heads if at["sinks"] == "learned" else 0
    always = at["first"] if at["sinks"] == "first" else 0
    gate = {"none": 0, "element": at.channels}.get(at["gate"], at.heads)
    return projected(at) + linear(at.dim, gate) + sinks, (
        cache(2 * at.kv_channels, at["window"] + always),
    )


def chunked(at: Widths) -> Half:
    return projected(at), (cache(2 * at.kv_channels, at["chunk"]),)


def gated(at: Widths) -> Half:
    """A second projection as wide as the queries, or of a number for each head."""
    gate = at.channels if at["gate"] == "element" else at.heads
    return projected(at) + linear(at.dim, gate), (cache(2 * at.kv_channels),)


def forgetting(at: Widths) -> Half:
    """A running sum of gates beside keys and values, in float64: it would lose its digits."""
    parameters = projected(at) + linear(at.dim, at.heads, bias=True)
    sums = Kept(what="kv cache", numbers=at.heads, every=1, dtype="float64")
    return parameters, (cache(2 * at.kv_channels), sums)


def differential(at: Widths) -> Half:
    """Version 1 has four vectors for lambda; 2 has twice the queries, and lambda of each token."""
    if at["version"] == 1:
        extra = 4 * at.head_dim
    else:
        extra = linear(at.dim, at.channels) + linear(at.dim, at.heads)
    return projected(at) + extra, (cache(2 * at.kv_channels),)


def borrowing(at: Widths) -> Half:
    """Queries and output alone: keys and values are another layer's."""
    return 2 * linear(at.dim, at.channels), ()


FORMULAS: Mapping[str, Formula] = {
    "sdpa": Formula(kind="full_attention", half=plain),
    "softmax": Formula(kind="full_attention", half=plain),
    "gqa": Formula(kind="full_attention", half=plain, share=4),
    "gated-attention": Formula(kind="full_attention", half=gated, share=8),
    "sliding-window": Formula(kind="sliding_attention", half=sliding),
    "chunked": Formula(kind="chunked_attention", half=chunked),
    "forgetting": Formula(kind="full_attention", half=forgetting),
    "differential": Formula(kind="full_attention", half=differential),
    "kv-sharing": Formula(kind="full_attention", half=borrowing, share=4),
}
