"""Encoders: every token sees every other, and nothing is kept between tokens.

What a config says is read from it; what only the model's code says is in an `EncoderStyle`.
"""

from dataclasses import dataclass
from functools import partial
from typing import Literal

from msgspec.structs import replace

from effattn_cli.architecture import Layer, Mixer, Model
from effattn_cli.models.decoder import (
    DIM,
    POSITIONS,
    FeedHalves,
    Halves,
    Style,
    feeds,
    shape_of,
)
from effattn_cli.models.families.reader import Reader
from effattn_cli.models.keys import Keys
from effattn_cli.models.layer_kinds import LAYERS
from effattn_cli.models.pieces import linear, norm, softmax

#: Families whose model without a head has a dense layer over the first token in its place.
POOLED = frozenset(
    "albert bert camembert data2vec-text deit ernie esm ibert jina_embeddings_v3 longformer"
    " megatron-bert mobilebert mpnet rembert roberta roberta-prelayernorm roc_bert tapas vit"
    " xlm-roberta xlm-roberta-xl xmod".split()
)
WITH_HEAD = "counted with the head of its masked language model"


@dataclass(frozen=True, kw_only=True)
class EncoderStyle(Style):
    """What is fixed by an encoder's code, or is its usual value where a config leaves it out."""

    types: int | None = None  # rows of the table of token types, as usual; None: no such table
    padding: int | None = None  # usual id of the padding token, where positions are counted from it
    narrow: bool = False  # whether the embedding may have a width of its own, `embedding_size`
    transform: bool = True  # whether a dense layer and a norm stand before the head
    transform_bias: bool = True
    twin_bias: bool = False  # a head that is not tied has its bias twice, once unused
    pooler: bool = False


#: What BERT's code fixes, and most masked language models with it.
BERT = partial(
    EncoderStyle, norm="layer", qkv_bias=True, out_bias=True, feed_bias=True, gated=False,
    activation="gelu", learned_positions=0, tied=True, head_bias=True, embedding_norm=True,
    final_norm=False, types=2, twin_bias=True,
)  # fmt: skip


def attention(keys: Keys, style: Style, extra: int = 0) -> list[Mixer]:
    """Softmax attention over the whole sequence in every layer; causal where the config makes a
    decoder of the model. `extra` counts parameters of a layer beyond the four projections.
    """
    shape = shape_of(keys)
    if keys.flag("add_cross_attention"):
        raise keys.refuse("add_cross_attention", "the encoder that it attends to is not known")
    if keys.word("position_embedding_type", default="absolute") not in ("absolute", "rotary"):
        raise keys.refuse("position_embedding_type", "such scores are not in the catalogue")
    mixer = softmax(
        shape.dim, shape.heads, shape.kv_heads, shape.head_dim,
        qkv_bias=keys.flag("attention_bias", default=style.qkv_bias),
        out_bias=keys.flag("attention_bias", default=style.out_bias),
        qk_norm=style.qk_norm, extra=extra, causal=keys.flag("is_decoder"),
    )  # fmt: skip
    return [mixer] * keys.count(*LAYERS)


def encoder(
    keys: Keys,
    style: EncoderStyle,
    mixers: Halves = attention,
    feeds: FeedHalves = feeds,
    *,
    tables: int = 0,
    extra: int = 0,
) -> Model:
    """The model of a config, with the head of its masked language model.

    `tables` counts parameters that are looked up beside words, positions and types of tokens,
    `extra` those outside of the layers beside norms, projections of the embedding and pooler.
    """
    dim, vocab = keys.count(*DIM), keys.count("vocab_size")
    wide = keys.count("embedding_size", default=dim) if style.narrow else dim
    outside = style.norms * norm(dim, style.norm, bias=style.norm_bias)
    layers = tuple(
        Layer(mixer=mixer, feed=feed, norm=style.norm, parameters=outside, stack=stack_of(mixer))
        for mixer, feed in zip(mixers(keys, style), feeds(keys, style), strict=True)
    )
    positions = keys.count(*POSITIONS, default=0, minimum=0)
    unused = 0  # rows of the table that no token is given: those up to the padding token's
    if style.padding is not None:
        unused = 1 + keys.count("pad_token_id", default=style.padding, minimum=0)
    rows = 0 if style.learned_positions is None else positions + style.learned_positions
    if style.types is not None:
        rows += keys.count("type_vocab_size", default=style.types, minimum=0)
    tied = keys.flag("tie_word_embeddings", default=style.tied)
    other = style.final_norm * norm(dim, style.norm, bias=style.norm_bias)
    other += style.embedding_norm * norm(wide, style.norm, bias=style.norm_bias)
    other += 0 if wide == dim else linear(wide, dim, bias=True)
    other += linear(dim, dim, bias=True) if style.pooler else 0
    return Model.of(
        name="", family="", dim=dim, layers=layers, vocab=vocab, tied=tied,
        head=_head(style, dim, wide, vocab, tied=tied),
        embedding=(vocab + rows) * wide + tables, other=other + extra,
        context=max(positions - unused, 1) if positions else None, notes=(WITH_HEAD,),
    )  # fmt: skip


def _head(style: EncoderStyle, dim: int, wide: int, vocab: int, *, tied: bool) -> int:
    """Parameters of what stands between the last layer and the words, but for what is tied."""
    head = (0 if tied else linear(wide, vocab)) + (vocab if style.head_bias else 0)
    head += vocab if style.twin_bias and not tied else 0
    if style.transform:
        head += linear(dim, wide, bias=style.transform_bias)
        head += norm(wide, style.norm, bias=style.norm_bias)
    return head


def stack_of(mixer: Mixer) -> Literal["decoder", "encoder"]:
    return "decoder" if mixer.causal else "encoder"


def as_saved(keys: Keys, family: str, reader: Reader) -> Model:
    """The model with the head that it is trained with, or without one where the file says that it
    was saved so, as encoders of sentences are.
    """
    model, names = reader(keys), keys.items("architectures") or []
    if not (names and isinstance(names[0], str) and names[0].endswith(("Model", "Encoder"))):
        return model
    pooler = linear(model.dim, model.dim, bias=True) if family in POOLED else 0
    notes = tuple(note for note in model.notes if note != WITH_HEAD)
    return replace(model, head=0, tied=False, other=model.other + pooler, notes=notes)
