"""Encoders of speech in the manner of wav2vec 2.0: convolutions over the wave, then layers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

from msgspec.structs import replace

from effattn_cli.architecture import Layer, Model
from effattn_cli.models.encoder import as_saved
from effattn_cli.models.keys import Keys
from effattn_cli.models.pieces import dense, linear, norm, softmax
from effattn_cli.models.stacks import NO_BIAS_MEASURED


@dataclass(frozen=True, kw_only=True)
class Wave:
    """What is fixed by a family's code."""

    norms: Literal["group", "layer"] | None = None  # of the convolutions; None: the config says
    conv_bias: bool = False
    positions: Literal["weight norm", "plain", "stack"] = "weight norm"
    masked: bool | None = None  # whether a vector stands for what is masked; None: as it trains


def convolved(keys: Keys, style: Wave) -> tuple[int, int]:
    """Parameters of the convolutions over the wave, and their last width."""
    widths, kernels = keys.numbers("conv_dim"), keys.numbers("conv_kernel")
    if not widths or not kernels or len(widths) != len(kernels):
        raise keys.refuse("conv_dim", "expected as many widths as there are in conv_kernel")
    kind = style.norms or keys.word("feat_extract_norm", default="group")
    if kind not in ("group", "layer"):
        raise keys.refuse("feat_extract_norm", "expected group or layer")
    bias = keys.flag("conv_bias", default=style.conv_bias)
    inputs = [1, *widths[:-1]]
    total = sum(
        before * width * kernel + bias * width
        for before, width, kernel in zip(inputs, widths, kernels, strict=True)
    )
    normed = widths if kind == "layer" else widths[:1]
    return total + 2 * sum(normed), widths[-1]


def placed(keys: Keys, style: Wave, dim: int) -> int:
    """Parameters of the convolution over the stream that tells positions."""
    groups = keys.count("num_conv_pos_embedding_groups", default=16)
    if style.positions == "stack":
        kernel, many = keys.count("conv_pos_kernel_size", default=19), "num_conv_pos_embeddings"
        return keys.count(many, default=5) * (dim * dim // groups * kernel + dim)
    kernel = keys.count("num_conv_pos_embeddings", default=128)
    scale = kernel if style.positions == "weight norm" else 0
    return dim * dim // groups * kernel + dim + scale


def wave(keys: Keys, style: Wave, *, within: int = 0, extra: int = 0) -> Model:
    """The model with the head that it has for transcribing.

    `within` counts parameters of each layer's attention beyond the projections, `extra` those
    outside of the layers.
    """
    for name in ("add_adapter", "conv_pos_batch_norm"):
        if keys.flag(name):
            raise keys.refuse(name, "not understood of this family")
    if keys.get("adapter_attn_dim") is not None:
        raise keys.refuse("adapter_attn_dim", "adapters in the layers are not understood")
    dim, heads = keys.count("hidden_size"), keys.count("num_attention_heads")
    mixer = softmax(
        dim, heads, heads, dim // heads, qkv_bias=True, out_bias=True, extra=within, causal=False
    )
    feed = dense(dim, keys.count("intermediate_size"), keys.word("hidden_act", default="gelu"),
                 bias=True)  # fmt: skip
    layer = Layer(mixer=mixer, feed=feed, norm="layer", parameters=4 * dim, stack="encoder")
    front, last = convolved(keys, style)
    chances = (keys.number("mask_time_prob"), keys.number("mask_feature_prob"))
    masked = dim * (max(chances) > 0 if style.masked is None else style.masked)
    projected = linear(last, dim, bias=True)
    if keys.flag("feat_proj_layer_norm", default=True):
        projected += norm(last, "layer")
    vocab = keys.count("vocab_size", default=32)
    return Model.of(
        name="", family="", dim=dim, layers=(layer,) * keys.count("num_hidden_layers"),
        vocab=vocab, embedding=0, head=linear(dim, vocab, bias=True),
        other=front + projected + placed(keys, style, dim) + norm(dim, "layer") + masked + extra,
    )  # fmt: skip


def wavlm(keys: Keys) -> Model:
    """Biases of relative positions, one table for all layers, which each layer gates."""
    heads = keys.count("num_attention_heads")
    width = keys.count("hidden_size") // heads
    table = keys.count("num_buckets", default=320) * heads
    gates = heads + linear(width, 8, bias=True)
    model = wave(keys, Wave(), within=gates, extra=table)
    return replace(model, notes=(*model.notes, NO_BIAS_MEASURED))


def sew(keys: Keys) -> Model:
    """Its layers run on frames that are squeezed together, and are spread out again behind."""
    dim, last = keys.count("hidden_size"), (keys.numbers("conv_dim") or [0])[-1]
    squeeze = keys.count("squeeze_factor", default=2)
    spread = linear(dim, dim * squeeze, bias=True)
    if last == dim:
        raise keys.refuse("conv_dim", "a front as wide as the layers is not understood")
    return wave(keys, Wave(), extra=spread)


def omniasr(keys: Keys) -> Model:
    """As wav2vec 2.0; the encoder's config is in a part, the vocabulary beside it."""
    part, vocab = keys.part("audio_config"), keys.count("vocab_size")
    model = wave(part, Wave(norms="layer", conv_bias=True, positions="plain", masked=False))
    return replace(model, vocab=vocab, head=linear(model.dim, vocab, bias=True))


STYLES: Mapping[str, Wave] = {
    "wav2vec2": Wave(),
    "hubert": Wave(),
    "unispeech": Wave(),
    "unispeech-sat": Wave(masked=True),
    "data2vec-audio": Wave(norms="layer", positions="stack"),
}
WITH_HEADS: Mapping[str, Callable[[Keys], Model]] = {
    **{name: partial(wave, style=style) for name, style in STYLES.items()},
    "wavlm": wavlm,
    "sew": sew,
    "omniasr_ctc": omniasr,
}
FAMILIES: Mapping[str, Callable[[Keys], Model]] = {
    name: partial(as_saved, family=name, reader=reader) for name, reader in WITH_HEADS.items()
}
