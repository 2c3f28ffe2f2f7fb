"""Speech to text by an encoder and a decoder, and encoders of this kind alone."""

from collections.abc import Callable, Mapping
from functools import partial

from effattn_cli.architecture import Layer, Model
from effattn_cli.models.keys import Keys
from effattn_cli.models.pieces import dense, norm, softmax
from effattn_cli.models.stacks import Width, both, cross, decoding, encoding, feed, own, width_of


def _front(keys: Keys, dim: int) -> int:
    """Two convolutions of three frames each."""
    return dim * (keys.count("num_mel_bins", default=80) + dim) * 3 + 2 * dim


def whisper(keys: Keys) -> Model:
    """Keys have no bias. It reads thirty seconds, whatever is said in them."""
    there, here = width_of(keys, "encoder"), width_of(keys, "decoder")
    dim, activation = there.dim, keys.word("activation_function", default="gelu")
    source = keys.count("max_source_positions", default=1500)
    context = keys.count("max_target_positions", default=448)
    keys.skip("median_filter_width")
    encoder = encoding(
        dim, [own(there, causal=False, extra=-dim)] * there.layers,
        [feed(there, activation)] * there.layers, "layer",
    )  # fmt: skip
    decoder = decoding(
        dim, [own(here, causal=True, extra=-dim)] * here.layers, cross(here, extra=-dim),
        [feed(here, activation)] * here.layers, "layer",
    )  # fmt: skip
    return both(
        keys, encoder, decoder, dim=dim, copies=1, tables=(source + context) * dim, source=source,
        other=_front(keys, dim) + 2 * norm(dim, "layer"), context=context,
    )  # fmt: skip


def hearing(keys: Keys, *, bart: bool = False, rotary: bool = False) -> Model:
    """Whisper's encoder alone, with its names of keys or with BART's."""
    if bart:
        width = width_of(keys, "encoder")
    else:
        dim, heads = keys.count("hidden_size"), keys.count("num_attention_heads")
        width = Width(
            dim=dim, heads=heads, head_dim=dim // heads, hidden=keys.count("intermediate_size"),
            layers=keys.count("num_hidden_layers"),
        )  # fmt: skip
    dim = width.dim
    if not bart and keys.count("num_key_value_heads", default=width.heads) != width.heads:
        raise keys.refuse("num_key_value_heads", "expected as many as heads")
    name = keys.word("activation_function", "hidden_act", default="gelu")
    layers = encoding(
        dim, [own(width, causal=False, extra=-dim)] * width.layers,
        [feed(width, name)] * width.layers, "layer",
    )  # fmt: skip
    rows = keys.count("max_source_positions", "max_position_embeddings", default=1500)
    return Model.of(
        name="", family="", dim=dim, layers=layers, vocab=0, embedding=0 if rotary else rows * dim,
        other=_front(keys, dim) + norm(dim, "layer"), context=rows,
    )  # fmt: skip


def speech_to_text(keys: Keys) -> Model:
    """Gated convolutions halve the frames, once each."""
    there, here = width_of(keys, "encoder"), width_of(keys, "decoder")
    dim, activation = there.dim, keys.word("activation_function", default="relu")
    inputs = keys.count("input_feat_per_channel", default=80) * keys.count(
        "input_channels", default=1
    )
    middle, front = keys.count("conv_channels", default=1024), 0
    kernels = keys.numbers("conv_kernel_sizes") or [5, 5]
    for at, kernel in enumerate(kernels):
        outputs = 2 * dim if at == len(kernels) - 1 else middle
        front += (inputs if at == 0 else middle // 2) * outputs * kernel + outputs
    encoder = encoding(
        dim, [own(there, causal=False)] * there.layers,
        [feed(there, activation)] * there.layers, "layer",
    )  # fmt: skip
    decoder = decoding(
        dim, [own(here, causal=True)] * here.layers, cross(here),
        [feed(here, activation)] * here.layers, "layer",
    )  # fmt: skip
    keys.skip("max_source_positions")  # of frames before they are halved
    return both(
        keys, encoder, decoder, dim=dim, copies=1, other=front + 2 * norm(dim, "layer"),
        context=keys.count("max_target_positions", default=1024),
    )  # fmt: skip


def moonshine(keys: Keys) -> Model:
    """Rotary positions, norms without a bias; the decoder's feed-forward is gated."""
    dim, hidden = keys.count("hidden_size"), keys.count("intermediate_size")
    bias = keys.flag("attention_bias")
    if keys.get("pad_head_dim_to_multiple_of") is not None:
        keys.skip("pad_head_dim_to_multiple_of")  # of the scores' products alone
    sides: list[tuple[Layer, ...]] = []
    for stack, usual, gated in (("encoder", "gelu", False), ("decoder", "silu", True)):
        heads = keys.count(f"{stack}_num_attention_heads")
        kv_heads = keys.count(f"{stack}_num_key_value_heads", default=heads)
        mixer = softmax(
            dim, heads, kv_heads, dim // heads, qkv_bias=bias, causal=gated
        )  # fmt: skip
        half = dense(dim, hidden, keys.word(f"{stack}_hidden_act", default=usual), gated=gated,
                     bias=True)  # fmt: skip
        count = keys.count(f"{stack}_num_hidden_layers")
        if gated:
            width = Width(dim=dim, heads=heads, head_dim=dim // heads, hidden=hidden, layers=count)
            crossing = cross(width, bias=bias, kv_heads=kv_heads, extra=-dim * bias)
            sides.append(decoding(dim, [mixer] * count, crossing, [half] * count, "layer",
                                  bias=False))  # fmt: skip
        else:
            sides.append(encoding(dim, [mixer] * count, [half] * count, "layer", bias=False))
    front = dim * 127 + (dim * 2 * dim * 7 + 2 * dim) + (2 * dim * dim * 3 + dim) + 2 * dim
    return both(
        keys, sides[0], sides[1], dim=dim, copies=1, other=front + 2 * dim,
        context=keys.count("max_position_embeddings", default=512),
    )  # fmt: skip


def trocr(keys: Keys) -> Model:
    """A decoder of text in pictures, whose encoder has a config of its own."""
    here, rows = width_of(keys, "decoder"), keys.count("max_position_embeddings", default=512)
    keys.skip("is_decoder", "add_cross_attention")  # it is one, and has it, whatever they say
    dim, activation = here.dim, keys.word("activation_function", default="gelu")
    wide = keys.count("cross_attention_hidden_size", default=dim)
    more = 2 * (wide - dim) * dim
    layers = decoding(
        dim, [own(here, causal=True)] * here.layers, cross(here, extra=more),
        [feed(here, activation)] * here.layers, "layer",
    )  # fmt: skip
    learned = keys.flag("use_learned_position_embeddings", default=True)
    normed = keys.flag("layernorm_embedding", default=True)
    return both(
        keys, (), layers, dim=dim, copies=1, tables=(rows + 2) * dim if learned else 0,
        other=norm(dim, "layer") if normed else 0, context=rows,
        notes=("its encoder, of which the keys and values of cross attention are, is left out",),
    )  # fmt: skip


FAMILIES: Mapping[str, Callable[[Keys], Model]] = {
    "whisper": whisper,
    "qwen2_audio_encoder": partial(hearing, bart=True),
    "audioflamingo3_encoder": hearing,
    "voxtral_encoder": hearing,
    "glmasr_encoder": partial(hearing, rotary=True),
    "speech_to_text": speech_to_text,
    "moonshine": moonshine,
    "trocr": trocr,
}
