"""Language models of one shape: embedding, layers of attention and feed-forward, norm, head.

What a config says is read from it; what only the model's code says is in a `Style`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from effattn_cli.architecture import Feed, Layer, Mixer, Model
from effattn_cli.cards import Stored
from effattn_cli.models.keys import Keys
from effattn_cli.models.layer_kinds import CHUNKED, FULL, LAYERS, SLIDING, Layout, given
from effattn_cli.models.pieces import QKNorm, dense, linear, norm, softmax
from effattn_cli.setting import Norm
from effattn_cli.units import number

DIM = ("n_embed", "hidden_size", "n_embd", "d_model", "dim", "emb_dim")
HEADS = ("num_attention_heads", "n_head", "num_heads", "n_heads", "attention_heads")
KV_HEADS = ("num_key_value_heads", "n_kv_heads", "num_kv_heads")
HEAD_DIM = ("head_dim", "attention_head_dim", "dim_head", "kv_channels")
WIDTH = (
    "intermediate_size", "n_inner", "ffn_dim", "inner_dim", "hidden_dim", "ffn_hidden_size", "dff",
    "dim_ff",
)  # fmt: skip
ACTIVATION = ("hidden_act", "hidden_activation", "activation_function", "activation", "afn")
POSITIONS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length")
VOCAB = ("padded_vocab_size", "vocab_size")
WINDOW = ("sliding_window", "sliding_window_size", "window_size")
Gate = Literal["", "element", "head", "softplus"]


@dataclass(frozen=True, kw_only=True)
class Style:
    """What is fixed by a family's code, or is its usual value where a config leaves it out."""

    norm: Norm = "rms"
    norm_bias: bool = True  # of layer norms
    norms: int = 2  # in a layer, each as wide as the stream
    qk_norm: QKNorm = ""
    qkv_bias: bool = False
    out_bias: bool = False
    feed_bias: bool = False
    gated: bool = True
    activation: str = "silu"
    width: int = 0  # hidden units as a multiple of the stream's width; 0: the config must say
    learned_positions: int | None = None  # rows of the table beyond the config's; None: no table
    tied: bool = False
    head_bias: bool = False
    embedding_norm: bool = False
    final_norm: bool = True
    parallel: bool = False
    bias_keys: tuple[str, ...] = ("attention_bias", "qkv_bias")  # () where no key decides
    out_keys: tuple[str, ...] | None = None  # None: the first of those above
    feed_keys: tuple[str, ...] = ("mlp_bias",)
    head_keys: tuple[str, ...] = ()
    layout: Layout | None = None  # where a config has no layer_types; None: a window, if any
    gate: Gate = ""  # on what attention gives, before its last projection
    sinks: Literal["", "all", "sliding"] = ""  # layers whose heads have a learned sink
    headless: bool = False  # the class of a part: the whole model has the head
    floored: bool = False  # heads that do not divide the stream's width have a rounded one
    notes: tuple[str, ...] = ()
    causal: bool = True


@dataclass(frozen=True)
class Shape:
    """The widths of a model's attention; heads * head_dim need not be dim."""

    dim: int
    heads: int
    kv_heads: int
    head_dim: int
    value_dim: int | None = None  # where it is not that of keys


def shape_of(keys: Keys, *, floored: bool = False) -> Shape:
    """The widths that most configs have."""
    dim, heads = keys.count(*DIM), keys.count(*HEADS)
    kv_heads = keys.count(*KV_HEADS, default=heads)
    if heads % kv_heads:
        raise keys.refuse(keys.named(*KV_HEADS), f"{heads} heads are not a multiple of it")
    return Shape(dim, heads, kv_heads, _head_dim(keys, dim, heads, floored=floored))


def _head_dim(keys: Keys, dim: int, heads: int, *, floored: bool) -> int:
    if keys.get(*HEAD_DIM) is None and dim % heads and not floored:
        raise keys.refuse(
            keys.named(*HEADS), f"{dim} is not a multiple of it, and there is no head_dim"
        )
    return keys.count(*HEAD_DIM, default=dim // heads)


def kinds(keys: Keys, style: Style) -> list[str]:
    """The kind of each layer, in order."""
    return given(keys, style.layout)


def windows(keys: Keys) -> list[int | None]:
    """The window of each layer, None where it sees all: from `layer_types`, or one for all."""
    return [keys.count(*WINDOW) if kind == SLIDING else None for kind in given(keys)]


def mixers(keys: Keys, style: Style) -> list[Mixer]:
    """Softmax attention in every layer."""
    shape, order = shape_of(keys, floored=style.floored), kinds(keys, style)
    made = {kind: attention(keys, style, shape, kind) for kind in dict.fromkeys(order)}
    return [made[kind] for kind in order]


def attention(
    keys: Keys,
    style: Style,
    shape: Shape,
    kind: str = FULL,
    *,
    extra: int = 0,
    window: int | None = None,
) -> Mixer:
    """Softmax attention of a kind; `extra` counts parameters beyond projections and norms, and
    `window` is the one of a sliding layer where no key says it.
    """
    window = (window or keys.count(*WINDOW)) if kind == SLIDING else None
    chunk = keys.count("attention_chunk_size") if kind == CHUNKED else None
    qkv_bias, out_bias = biases(keys, style)
    sinks = style.sinks == "all" or (style.sinks == "sliding" and kind == SLIDING)
    gates = {"": 0, "element": shape.heads * shape.head_dim}.get(style.gate, shape.heads)
    variant, options = core(keys, style, shape, window=window, chunk=chunk, sinks=sinks)
    return softmax(
        shape.dim, shape.heads, shape.kv_heads, shape.head_dim, kind=kind, variant=variant,
        options=options, window=window or chunk, value_dim=shape.value_dim, qkv_bias=qkv_bias,
        out_bias=out_bias, qk_norm=style.qk_norm, causal=style.causal,
        extra=extra + linear(shape.dim, gates) + (shape.heads if sinks else 0),
    )  # fmt: skip


def biases(keys: Keys, style: Style) -> tuple[bool, bool]:
    """Whether the first three projections have biases, and whether the last has."""
    names, last = style.bias_keys, style.out_keys
    qkv = keys.flag(*names, default=style.qkv_bias) if names else style.qkv_bias
    last = names[:1] if last is None else last
    return qkv, style.out_bias or bool(last and keys.flag(*last))


def core(
    keys: Keys, style: Style, shape: Shape, *, window: int | None, chunk: int | None, sinks: bool
) -> tuple[str, dict[str, Stored]]:
    """The variant of the catalogue, and its options."""
    softcap = keys.number("attn_logit_softcapping")
    options: dict[str, Stored] = {"qk_norm": True} if style.qk_norm == "head" else {}
    if chunk:
        return "chunked", {"chunk": chunk}
    if window:
        sunk: dict[str, Stored] = {"sinks": "learned"} if sinks else {}
        gated: dict[str, Stored] = {"gate": style.gate} if style.gate else {}
        return "sliding-window", {"window": window, **sunk, **gated, **options}
    if style.gate:
        return "gated-attention", {"gate": style.gate, **options}
    if sinks:
        return "gqa", {"sinks": True, **options}
    if softcap:
        return "gqa", {"softcap": softcap, **options}
    return "sdpa" if shape.kv_heads == shape.heads else "gqa", options


def left_out(layers: int) -> str:
    """A note on layers that speculative decoding alone uses."""
    return f"{number(layers, 'layer')} for predicting further tokens left out, as by transformers"


def unmeasured(keys: Keys, mixers: list[Mixer]) -> tuple[str, ...]:
    """What the layers compute beyond their variants of the catalogue."""
    windowed = any(mixer.variant in {"sliding-window", "chunked"} for mixer in mixers)
    further = keys.count("num_nextn_predict_layers", "num_mtp_layers", default=0, minimum=0)
    notes = {
        left_out(further): further,
        "a window layer's soft cap of scores is not part of its variant":
            windowed and keys.number("attn_logit_softcapping"),
    }  # fmt: skip
    return tuple(note for note, holds in notes.items() if holds)


def feeds(keys: Keys, style: Style) -> list[Feed]:
    """One dense feed-forward in every layer."""
    dim = keys.count(*DIM)
    width = keys.count(*WIDTH, default=style.width * dim or None)
    activation = keys.word(*ACTIVATION, default=style.activation)
    feed = dense(dim, width, activation, gated=style.gated, bias=feed_bias(keys, style))
    return [feed] * keys.count(*LAYERS)


def feed_bias(keys: Keys, style: Style) -> bool:
    """Whether the matrices of the feed-forward have biases."""
    names = style.feed_keys
    return keys.flag(*names, default=style.feed_bias) if names else style.feed_bias


Halves = Callable[[Keys, Style], list[Mixer]]
FeedHalves = Callable[[Keys, Style], list[Feed]]


def decoder(keys: Keys, style: Style, mixers: Halves = mixers, feeds: FeedHalves = feeds) -> Model:
    """The model of a config; `mixers` and `feeds` make the halves of its layers, in order."""
    dim, vocab = keys.count(*DIM), keys.count(*VOCAB)
    outside = style.norms * norm(dim, style.norm, bias=style.norm_bias)
    order = mixers(keys, style)
    layers = tuple(
        Layer(mixer=mixer, feed=feed, norm=style.norm, parameters=outside, parallel=style.parallel)
        for mixer, feed in zip(order, feeds(keys, style), strict=True)
    )
    positions = keys.count(*POSITIONS, default=0, minimum=0)
    rows = 0 if style.learned_positions is None else positions + style.learned_positions
    tied = keys.flag("tie_word_embeddings", default=style.tied)
    around = int(style.final_norm) + int(style.embedding_norm)
    return Model.of(
        name="", family="", dim=dim, layers=layers, vocab=vocab,
        embedding=(vocab + rows) * dim, head=_head(keys, style, tied=tied), tied=tied,
        other=around * norm(dim, style.norm, bias=style.norm_bias), context=positions or None,
        notes=style.notes + unmeasured(keys, order),
    )  # fmt: skip


def _head(keys: Keys, style: Style, *, tied: bool) -> int:
    if style.headless:
        return 0
    dim, vocab = keys.count(*DIM), keys.count(*VOCAB)
    biased = style.head_bias or (style.head_keys and keys.flag(*style.head_keys))
    return (0 if tied else linear(dim, vocab)) + (vocab if biased else 0)
