"""Halves of layers with the number of their parameters, and what they keep between tokens."""

from collections.abc import Mapping
from typing import Literal

from effattn_cli.architecture import Feed, Kept, Mixer
from effattn_cli.cards import Stored

#: RMS over each head; weights for each number of all heads; a layer norm of each head, with bias.
QKNorm = Literal["", "head", "width", "layer"]


#: Of an activation that has any.
LEARNED: Mapping[str, int] = {"xielu": 2}


def linear(inputs: int, outputs: int, *, bias: bool = False) -> int:
    """Parameters of a linear layer."""
    return outputs * (inputs + bias)


def norm(width: int, kind: Literal["layer", "rms"], *, bias: bool = True) -> int:
    """Parameters of a norm; an RMS norm has no bias."""
    return width * (2 if kind == "layer" and bias else 1)


def softmax(
    dim: int,
    heads: int,
    kv_heads: int,
    head_dim: int,
    *,
    kind: str = "full_attention",
    variant: str | None = None,
    options: Mapping[str, Stored] | None = None,
    window: int | None = None,
    value_dim: int | None = None,
    qkv_bias: bool = False,
    out_bias: bool = False,
    qk_norm: QKNorm = "",
    extra: int = 0,
    causal: bool = True,
    caches: bool = True,
    source: bool = False,
) -> Mixer:
    """Softmax attention with its four projections; `extra` counts parameters beyond them.

    With `source` its keys and values are those of an encoder's output, kept as such.
    """
    value_dim = value_dim or head_dim
    query, key, value = heads * head_dim, kv_heads * head_dim, kv_heads * value_dim
    parameters = linear(dim, query + key + value, bias=qkv_bias)
    parameters += linear(heads * value_dim, dim, bias=out_bias) + extra
    parameters += {
        "": 0, "head": 2 * head_dim, "width": query + key, "layer": 4 * head_dim,
    }[qk_norm]  # fmt: skip
    usual = "sdpa" if kv_heads == heads else "gqa"
    chosen = variant or ("sliding-window" if window else usual)
    given = dict(options or {})
    if window and variant is None:
        given = {"window": window, **given}
    kept = Kept(what="kv cache", numbers=key + value, every=1, max_tokens=window, source=source)
    return Mixer(
        kind=kind, variant=chosen, options=given, heads=heads, kv_heads=kv_heads,
        head_dim=head_dim, parameters=parameters,
        keeps=(kept,) if (causal or source) and caches else (), causal=causal and not source,
    )  # fmt: skip


def dense(
    dim: int, width: int, activation: str, *, gated: bool = False, bias: bool = False
) -> Feed:
    """A feed-forward of two matrices, or of three where it is gated."""
    parameters = (1 + gated) * linear(dim, width, bias=bias) + linear(width, dim, bias=bias)
    parameters += LEARNED.get(activation, 0)
    name = f"gated {activation}" if gated else activation
    return Feed(activation=name, width=width, parameters=parameters, always=parameters)


def experts(
    dim: int,
    width: int,
    activation: str,
    *,
    count: int,
    chosen: int,
    shared: int = 0,
    gated: bool = True,
    bias: bool = False,
    router_bias: bool = False,
    extra: int = 0,
    shared_gate: bool = False,
) -> Feed:
    """A mixture of experts; `shared` are hidden units that every token meets, `extra` counts what
    every token meets beside router and shared experts; `shared_gate`: these have a gate.
    """
    one = dense(dim, width, activation, gated=gated, bias=bias)
    always = linear(dim, count, bias=router_bias) + extra
    if shared:
        always += dense(dim, shared, activation, gated=gated, bias=bias).parameters
        always += dim if shared_gate else 0
    return Feed(
        activation=one.activation, width=width, parameters=always + count * one.parameters,
        experts=count, chosen=chosen, shared=shared, always=always,
    )  # fmt: skip
