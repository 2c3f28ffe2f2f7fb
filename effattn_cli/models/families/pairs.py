"""Encoder-decoders in the manner of BART: biases everywhere, layer norms, absolute positions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from msgspec.structs import replace

from effattn_cli.architecture import Feed, Layer, Model
from effattn_cli.models.keys import Keys
from effattn_cli.models.pieces import experts, linear, norm, softmax
from effattn_cli.models.stacks import (
    Width,
    both,
    cross,
    decoding,
    encoding,
    feed,
    own,
    width_of,
)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """What is fixed by a family's code."""

    rows: int | None = 2  # of a table of positions, beyond the config's; None: there is no table
    embedding_norm: bool = True  # on each embedding
    final_norm: bool = False  # behind each stack
    activation: str = "gelu"


def positions_of(keys: Keys) -> tuple[int, int]:
    """Of the encoder and of the decoder."""
    usual = keys.count("max_position_embeddings", default=1024)
    return (
        keys.count("max_encoder_position_embeddings", default=usual),
        keys.count("max_decoder_position_embeddings", default=usual),
    )


def layers_of(keys: Keys, style: Pair) -> tuple[tuple[Layer, ...], tuple[Layer, ...]]:
    """Of the encoder and of the decoder."""
    activation = keys.word("activation_function", default=style.activation)
    there, here = width_of(keys, "encoder"), width_of(keys, "decoder")
    read = [feed(there, activation)] * there.layers
    written = [feed(here, activation)] * here.layers
    return (
        encoding(there.dim, [own(there, causal=False)] * there.layers, read, "layer"),
        decoding(here.dim, [own(here, causal=True)] * here.layers, cross(here), written, "layer"),
    )


def pair(keys: Keys, style: Pair) -> Model:
    """The model, of which both stacks embed the same words."""
    if not keys.flag("is_encoder_decoder", default=True):
        raise keys.refuse("is_encoder_decoder", "a stack alone is not understood of this family")
    encoder, decoder = layers_of(keys, style)
    dim, (there, here) = keys.count("d_model"), positions_of(keys)
    rows = 0 if style.rows is None else there + here + 2 * style.rows
    norms = 2 * (style.embedding_norm + style.final_norm) * norm(dim, "layer")
    return both(keys, encoder, decoder, dim=dim, tables=rows * dim, other=norms, context=here)


def mvp(keys: Keys) -> Model:
    if keys.flag("use_prompt"):
        raise keys.refuse("use_prompt", "prompts within the layers have no record here")
    return pair(keys, Pair(final_norm=False))


def marian(keys: Keys) -> Model:
    """Sines and cosines of positions are a table among its weights."""
    if not keys.flag("share_encoder_decoder_embeddings", default=True):
        raise keys.refuse("share_encoder_decoder_embeddings", "only shared ones are understood")
    keys.skip("decoder_vocab_size")
    return pair(keys, Pair(rows=0, embedding_norm=False))


def fsmt(keys: Keys) -> Model:
    """Each stack embeds words of its own, and the head is a third table."""
    encoder, decoder = layers_of(keys, Pair(activation="relu"))
    dim, rows = keys.count("d_model"), keys.count("max_position_embeddings", default=1024) + 2
    there, here = keys.count("src_vocab_size"), keys.count("tgt_vocab_size")
    if keys.flag("tie_word_embeddings"):
        raise keys.refuse("tie_word_embeddings", "only separate tables are understood")
    return Model.of(
        name="", family="", dim=dim, layers=encoder + decoder, vocab=here,
        embedding=(there + here + 2 * rows) * dim, head=here * dim, context=rows - 2,
    )  # fmt: skip


def led(keys: Keys) -> Model:
    """Its encoder has the attention of Longformer, with projections for global tokens."""
    width, (there, here) = width_of(keys, "encoder"), positions_of(keys)
    given: Any = keys.get("attention_window", default=512)
    windows = given if isinstance(given, list) else [given] * width.layers
    if len(windows) != width.layers or not all(isinstance(window, int) and window > 0
                                               for window in windows):  # fmt: skip
        raise keys.refuse("attention_window", f"expected {width.layers} even numbers, or one")
    mixers = [
        softmax(
            width.dim, width.heads, width.heads, width.head_dim, kind="sliding_attention",
            variant="longformer", options={"window": window}, qkv_bias=True, out_bias=True,
            extra=3 * linear(width.dim, width.dim, bias=True), causal=False,
        )
        for window in windows
    ]  # fmt: skip
    encoder, decoder = layers_of(keys, Pair())
    encoder = tuple(
        replace(layer, mixer=mixer) for layer, mixer in zip(encoder, mixers, strict=True)
    )
    dim = width.dim
    return both(
        keys, encoder, decoder, dim=dim, tables=(there + here) * dim,
        other=2 * norm(dim, "layer"), context=here,
    )  # fmt: skip


def bigbird_pegasus(keys: Keys) -> Model:
    """Its encoder attends in blocks; projections of attention have a bias where it says so."""
    kind, bias = keys.word("attention_type", default="block_sparse"), keys.flag("use_bias")
    there, here = width_of(keys, "encoder"), width_of(keys, "decoder")
    blocks = {
        "block_size": keys.count("block_size", default=64),
        "random_blocks": keys.count("num_random_blocks", default=3),
    }
    sparse = softmax(
        there.dim, there.heads, there.heads, there.head_dim, kind="block_sparse",
        variant="big-bird", options=blocks, qkv_bias=bias, out_bias=bias, causal=False,
    )  # fmt: skip
    mixer = {"block_sparse": sparse, "original_full": own(there, causal=False, bias=bias)}
    if kind not in mixer:
        raise keys.refuse("attention_type", "expected block_sparse or original_full")
    activation = keys.word("activation_function", default="gelu_new")
    encoder = encoding(
        there.dim, [mixer[kind]] * there.layers, [feed(there, activation)] * there.layers, "layer"
    )
    decoder = decoding(
        here.dim, [own(here, causal=True, bias=bias)] * here.layers, cross(here, bias=bias),
        [feed(here, activation)] * here.layers, "layer",
    )  # fmt: skip
    rows = keys.count("max_position_embeddings", default=4096)
    return both(
        keys, encoder, decoder, dim=there.dim, tables=2 * rows * there.dim,
        other=2 * norm(there.dim, "layer"), context=rows,
    )  # fmt: skip


def nllb_moe(keys: Keys) -> Model:
    """Each `sparse_step`th layer chooses two experts for a token."""
    activation = keys.word("activation_function", default="relu")
    there, here = width_of(keys, "encoder"), width_of(keys, "decoder")
    encoder = encoding(
        there.dim, [own(there, causal=False)] * there.layers,
        _chosen(keys, there, activation, keys.count("encoder_sparse_step", default=4, minimum=0)),
        "layer",
    )  # fmt: skip
    decoder = decoding(
        here.dim, [own(here, causal=True)] * here.layers, cross(here),
        _chosen(keys, here, activation, keys.count("decoder_sparse_step", default=4, minimum=0)),
        "layer",
    )  # fmt: skip
    return both(
        keys, encoder, decoder, dim=there.dim, other=2 * norm(there.dim, "layer"),
        context=keys.count("max_position_embeddings", default=1024),
    )  # fmt: skip


def _chosen(keys: Keys, width: Width, activation: str, step: int) -> list[Feed]:
    count, bias = keys.count("num_experts", default=128), keys.flag("router_bias")
    keys.skip("moe_eval_capacity_token_fraction", "second_expert_policy")
    dense = feed(width, activation)
    sparse = experts(
        width.dim, width.hidden, activation, count=count, chosen=min(2, count), gated=False,
        bias=True, router_bias=bias,
    )  # fmt: skip
    return [sparse if step and not at % step else dense for at in range(1, width.layers + 1)]


STYLES: Mapping[str, Pair] = {
    "bart": Pair(),
    "plbart": Pair(),
    "mbart": Pair(final_norm=True),
    "pegasus": Pair(rows=0, embedding_norm=False, final_norm=True),
    "m2m_100": Pair(rows=None, embedding_norm=False, final_norm=True, activation="relu"),
    "blenderbot": Pair(rows=0, embedding_norm=False, final_norm=True),
    "blenderbot-small": Pair(rows=0),
}
FAMILIES: Mapping[str, Callable[[Keys], Model]] = {
    **{name: partial(pair, style=style) for name, style in STYLES.items()},
    "mvp": mvp,
    "marian": marian,
    "fsmt": fsmt,
    "led": led,
    "bigbird_pegasus": bigbird_pegasus,
    "nllb-moe": nllb_moe,
}
