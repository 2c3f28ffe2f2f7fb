"""Language models of one shape: embedding, layers of attention and feed-forward, norm, head.

What a config says is read from it; what only the model's code says is in a `Style`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from effattn_cli.architecture import Feed, Layer, Mixer, Model, Norm
from effattn_cli.models.keys import Keys
from effattn_cli.models.pieces import QKNorm, dense, linear, norm, softmax

DIM = ("hidden_size", "n_embd", "d_model", "dim", "emb_dim")
LAYERS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers")
HEADS = ("num_attention_heads", "n_head", "num_heads", "n_heads")
KV_HEADS = ("num_key_value_heads", "n_kv_heads", "num_kv_heads")
HEAD_DIM = ("head_dim", "attention_head_dim")
WIDTH = ("intermediate_size", "n_inner", "ffn_dim", "inner_dim", "hidden_dim")
ACTIVATION = ("hidden_act", "hidden_activation", "activation_function", "activation")
POSITIONS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len")


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


@dataclass(frozen=True)
class Shape:
    """The widths of a model's attention."""

    dim: int
    heads: int
    kv_heads: int
    head_dim: int


def shape_of(keys: Keys) -> Shape:
    """The widths that most configs have."""
    dim, heads = keys.count(*DIM), keys.count(*HEADS)
    kv_heads = keys.count(*KV_HEADS, default=heads)
    if heads % kv_heads:
        raise keys.refuse(KV_HEADS[0], f"{heads} heads are not a multiple of it")
    return Shape(dim, heads, kv_heads, _head_dim(keys, dim, heads))


def _head_dim(keys: Keys, dim: int, heads: int) -> int:
    if keys.get(*HEAD_DIM) is None and dim % heads:
        raise keys.refuse(HEADS[0], f"{dim} is no multiple of it, and there is no head_dim")
    return keys.count(*HEAD_DIM, default=dim // heads)


def windows(keys: Keys) -> list[int | None]:
    """The window of each layer, None where it sees all: from `layer_types`, or one for all."""
    count, window = keys.count(*LAYERS), keys.get("sliding_window")
    kinds = keys.items("layer_types")
    if kinds is None:
        return [keys.count("sliding_window") if window else None] * count
    if len(kinds) != count:
        raise keys.refuse("layer_types", f"{len(kinds)} kinds for {count} layers")
    known = {"full_attention", "sliding_attention"}
    if wrong := [kind for kind in kinds if kind not in known]:
        raise keys.refuse("layer_types", f"{wrong[0]!r} is not known of this family")
    return [keys.count("sliding_window") if kind == "sliding_attention" else None for kind in kinds]


def mixers(keys: Keys, style: Style) -> list[Mixer]:
    """Softmax attention in every layer."""
    shape = shape_of(keys)
    qkv_bias = keys.flag("attention_bias", "qkv_bias", default=style.qkv_bias)
    out_bias = style.out_bias or keys.flag("attention_bias", default=False)
    made = {
        window: softmax(
            shape.dim, shape.heads, shape.kv_heads, shape.head_dim, window=window,
            kind="sliding_attention" if window else "full_attention", qkv_bias=qkv_bias,
            out_bias=out_bias, qk_norm=style.qk_norm,
        )
        for window in dict.fromkeys(windows(keys))
    }  # fmt: skip
    return [made[window] for window in windows(keys)]


def feeds(keys: Keys, style: Style) -> list[Feed]:
    """One dense feed-forward in every layer."""
    dim = keys.count(*DIM)
    width = keys.count(*WIDTH, default=style.width * dim or None)
    activation = keys.word(*ACTIVATION, default=style.activation)
    bias = keys.flag("mlp_bias", default=style.feed_bias)
    feed = dense(dim, width, activation, gated=style.gated, bias=bias)
    return [feed] * keys.count(*LAYERS)


Halves = Callable[[Keys, Style], list[Mixer]]
FeedHalves = Callable[[Keys, Style], list[Feed]]


def decoder(keys: Keys, style: Style, mixers: Halves = mixers, feeds: FeedHalves = feeds) -> Model:
    """The model of a config; `mixers` and `feeds` make the halves of its layers, in order."""
    dim, vocab = keys.count(*DIM), keys.count("vocab_size")
    outside = style.norms * norm(dim, style.norm, bias=style.norm_bias)
    layers = tuple(
        Layer(mixer=mixer, feed=feed, norm=style.norm, parameters=outside, parallel=style.parallel)
        for mixer, feed in zip(mixers(keys, style), feeds(keys, style), strict=True)
    )
    positions = keys.count(*POSITIONS, default=0, least=0)
    rows = 0 if style.learned_positions is None else positions + style.learned_positions
    tied = keys.flag("tie_word_embeddings", default=style.tied)
    head = 0 if tied else linear(dim, vocab)
    around = int(style.final_norm) + int(style.embedding_norm)
    return Model(
        name="", family="", dim=dim, layers=layers, vocab=vocab,
        embedding=(vocab + rows) * dim, head=head + (vocab if style.head_bias else 0), tied=tied,
        other=around * norm(dim, style.norm, bias=style.norm_bias), context=positions or None,
    )  # fmt: skip
