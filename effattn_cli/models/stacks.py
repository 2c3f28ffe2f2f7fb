"""Encoder-decoders: an encoder's layers, then a decoder's, each of which attends to its output."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from effattn_cli.architecture import Feed, Layer, Mixer, Model
from effattn_cli.models.keys import Keys
from effattn_cli.models.pieces import dense, norm, softmax
from effattn_cli.setting import Norm

NO_BIAS_MEASURED = "relative position biases count as parameters; their addition is not measured"


@dataclass(frozen=True, kw_only=True)
class Width:
    """The widths of a stack's layers."""

    dim: int
    heads: int
    head_dim: int
    hidden: int
    layers: int


def width_of(keys: Keys, stack: str, *, dim: int | None = None) -> Width:
    """From keys as BART has them: `encoder_layers`, `encoder_attention_heads`, ..."""
    dim = keys.count("d_model", "hidden_size") if dim is None else dim
    heads = keys.count(f"{stack}_attention_heads", f"num_{stack}_attention_heads")
    if dim % heads:
        raise keys.refuse(f"{stack}_attention_heads", f"{dim} is no multiple of it")
    return Width(
        dim=dim, heads=heads, head_dim=dim // heads, hidden=keys.count(f"{stack}_ffn_dim"),
        layers=keys.count(f"{stack}_layers", f"num_{stack}_layers"),
    )  # fmt: skip


def own(width: Width, *, causal: bool, bias: bool = True, extra: int = 0) -> Mixer:
    """Attention within a stack."""
    return softmax(
        width.dim, width.heads, width.heads, width.head_dim, qkv_bias=bias, out_bias=bias,
        extra=extra, causal=causal,
    )  # fmt: skip


def cross(width: Width, *, bias: bool = True, extra: int = 0, kv_heads: int | None = None) -> Mixer:
    """Attention to the encoder's output, which is as wide as the decoder's stream."""
    return softmax(
        width.dim, width.heads, kv_heads or width.heads, width.head_dim, kind="cross_attention",
        qkv_bias=bias, out_bias=bias, extra=extra, source=True,
    )  # fmt: skip


def feed(width: Width, activation: str, *, gated: bool = False, bias: bool = True) -> Feed:
    return dense(width.dim, width.hidden, activation, gated=gated, bias=bias)


def encoding(
    dim: int, mixers: Iterable[Mixer], feeds: Iterable[Feed], kind: Norm, *, bias: bool = True
) -> tuple[Layer, ...]:
    """An encoder's layers, each with two norms."""
    outside = 2 * norm(dim, kind, bias=bias)
    return tuple(
        Layer(mixer=mixer, feed=half, norm=kind, parameters=outside, stack="encoder")
        for mixer, half in zip(mixers, feeds, strict=True)
    )


def decoding(
    dim: int,
    mixers: Iterable[Mixer],
    crossing: Mixer,
    feeds: Iterable[Feed],
    kind: Norm,
    *,
    bias: bool = True,
) -> tuple[Layer, ...]:
    """A decoder's layers, each with three norms."""
    outside = 3 * norm(dim, kind, bias=bias)
    return tuple(
        Layer(mixer=mixer, cross=crossing, feed=half, norm=kind, parameters=outside)
        for mixer, half in zip(mixers, feeds, strict=True)
    )


def both(
    keys: Keys,
    encoder: Sequence[Layer],
    decoder: Sequence[Layer],
    *,
    dim: int,
    tables: int = 0,
    other: int = 0,
    tied: bool = True,
    copies: int = 3,
    context: int | None = None,
    source: int | None = None,
    notes: tuple[str, ...] = (),
) -> Model:
    """The model of two stacks with one table of words, or `copies` of it where the config does not
    tie them; `tables` counts what is looked up beside these, `other` what is around the layers.
    """
    vocab = keys.count("vocab_size")
    tied = keys.flag("tie_word_embeddings", default=tied)
    return Model.of(
        name="", family="", dim=dim, layers=(*encoder, *decoder), vocab=vocab,
        embedding=vocab * dim * (1 if tied else copies) + tables,
        head=0 if tied else vocab * dim, tied=tied, other=other,
        context=context, source=source, notes=notes,
    )  # fmt: skip
