"""Encoders of pictures whose layers are all of one width."""

from collections.abc import Callable, Mapping
from functools import partial

from msgspec.structs import replace

from effattn_cli.architecture import Model
from effattn_cli.models.encoder import as_saved
from effattn_cli.models.keys import Keys
from effattn_cli.models.pieces import dense, linear, norm, softmax
from effattn_cli.models.sight import Sight, expanded, half, mixer, patches, sight

CLIP = Sight(patch_bias=False, before=True, activation="quick_gelu")

STYLES: Mapping[str, Sight] = {
    "vit": Sight(classes=1),
    "vit_msn": Sight(classes=1),
    "deit": Sight(tokens=2, classes=1),
    "ijepa": Sight(tokens=0, classes=1),
    "clip_vision_model": CLIP,
    "chinese_clip_vision_model": CLIP,
    "pixtral": Sight(
        tokens=0, positions=False, patch_bias=False, norm="rms", qkv_bias=False, out_bias=False,
        feed_bias=False, gated=True, before=True, final=False,
    ),
}  # fmt: skip


def dinov2(keys: Keys, *, registers: bool = False) -> Model:
    """Layers are scaled; a classifier reads [CLS] and the mean of the patches."""
    style = Sight(classes=2, scales=2)
    dim, (number, _) = keys.count("hidden_size"), patches(keys, 224, 16 if registers else 14)
    more = keys.count("num_register_tokens", default=4, minimum=0) if registers else 0
    masked = registers or keys.flag("use_mask_token", default=True)
    feed = None
    if keys.flag("use_swiglu_ffn"):
        hidden = (int(expanded(keys, dim) * 2 / 3) + 7) // 8 * 8
        feed = dense(dim, hidden, "silu", gated=True, bias=True)
    model = sight(keys, style, feed=feed, learned=1 + masked + more + number + 1)
    return replace(model, context=number + 1 + more)


def dinov3(keys: Keys) -> Model:
    """Rotary positions; each projection says whether it has a bias."""
    dim, heads = keys.count("hidden_size"), keys.count("num_attention_heads")
    biases = [
        keys.flag(f"{name}_bias", default=usual)
        for name, usual in (("query", True), ("key", False), ("value", True), ("proj", True))
    ]
    attention = softmax(
        dim, heads, heads, dim // heads, extra=sum(biases) * dim, causal=False
    )  # fmt: skip
    style = Sight(positions=False, scales=2, gated=keys.flag("use_gated_mlp"))
    more, (number, _) = keys.count("num_register_tokens", default=0, minimum=0), patches(keys)
    model = sight(keys, style, attention=attention, learned=2 + more)
    return replace(model, context=number + 1 + more)


def beit(keys: Keys) -> Model:
    """Keys have no bias; biases of relative positions are in each layer, or one for all."""
    dim, heads = keys.count("hidden_size"), keys.count("num_attention_heads")
    number, _ = patches(keys, 224, 16)
    side = int(number**0.5)
    table = ((2 * side - 1) ** 2 + 3) * heads
    style = Sight(
        classes=1, key_bias=False, positions=keys.flag("use_absolute_position_embeddings"),
        scales=2 if keys.number("layer_scale_init_value") > 0 else 0,
    )  # fmt: skip
    masked = keys.flag("use_mask_token")
    shared = keys.flag("use_shared_relative_position_bias")
    within = mixer(keys, style, dim)
    keys.skip("vocab_size")
    if keys.flag("use_relative_position_bias"):
        within = replace(within, parameters=within.parameters + table)
    return sight(keys, style, attention=within, extra=masked * dim + shared * table)


def data2vec(keys: Keys) -> Model:
    """As BEiT; the norm behind the mean of all patches goes with the head."""
    model = as_saved(keys, "data2vec-vision", beit)
    pooled = keys.flag("use_mean_pooling", default=True) and not model.head
    return replace(model, other=model.other - pooled * norm(model.dim, "layer"))


def siglip(keys: Keys, *, whole: bool = False) -> Model:
    """No tokens beside the patches: a head attends to these with one learned query."""
    dim = keys.count("hidden_size")
    style = Sight(tokens=0, activation="gelu_pytorch_tanh")
    number, numbers = patches(keys, None if whole else 224, 16) if not whole else (
        keys.count("num_patches", default=256),
        keys.count("num_channels", default=3) * keys.count("patch_size", default=16) ** 2,
    )  # fmt: skip
    head = 0
    if keys.flag("vision_use_head", default=True):
        head = dim + 4 * linear(dim, dim, bias=True) + norm(dim, "layer")
        head += half(keys, style, dim).parameters
    return sight(keys, style, grid=(number, numbers), extra=head)


def aimv2(keys: Keys) -> Model:
    """RMS norms, a gated feed-forward, and a head that attends with a learned token."""
    dim = keys.count("hidden_size")
    bias = keys.flag("qkv_bias")
    style = Sight(
        tokens=0, norm="rms", qkv_bias=False, out_bias=bias, feed_bias=False, gated=True,
        activation="silu", before=True,
    )  # fmt: skip
    if keys.flag("is_native"):
        raise keys.refuse("is_native", "positions that follow the picture are not understood")
    head = 0
    if keys.flag("use_head", default=True):
        head = dim + 2 * linear(dim, dim, bias=bias) + linear(dim, dim, bias=True)
    return sight(keys, style, extra=head)


def vivit(keys: Keys) -> Model:
    """Patches reach over several pictures of a film."""
    size = keys.numbers("tubelet_size") or [2, 16, 16]
    if len(size) != 3 or min(size) < 1:
        raise keys.refuse("tubelet_size", "expected three numbers")
    frames, side = keys.count("num_frames", default=32), keys.count("image_size", default=224)
    number = frames // size[0] * (side // size[1]) * (side // size[2])
    numbers = keys.count("num_channels", default=3) * size[0] * size[1] * size[2]
    return sight(keys, Sight(pooler=True, activation="gelu_fast"), grid=(number, numbers))


def spectrogram(keys: Keys) -> Model:
    """Patches of a spectrogram, which overlap."""
    patch = keys.count("patch_size", default=16)
    high = (keys.count("num_mel_bins", default=128) - patch) // keys.count(
        "frequency_stride", default=10
    ) + 1
    wide = (keys.count("max_length", default=1024) - patch) // keys.count(
        "time_stride", default=10
    ) + 1
    return sight(keys, Sight(tokens=2), grid=(high * wide, patch * patch))


WITH_HEADS: Mapping[str, Callable[[Keys], Model]] = {
    **{name: partial(sight, style=style) for name, style in STYLES.items()},
    "dinov2": dinov2,
    "dinov2_with_registers": partial(dinov2, registers=True),
    "dinov3_vit": dinov3,
    "beit": beit,
    "siglip_vision_model": siglip,
    "siglip2_vision_model": partial(siglip, whole=True),
    "aimv2_vision_model": aimv2,
    "vivit": vivit,
    "audio-spectrogram-transformer": spectrogram,
}
FAMILIES: Mapping[str, Callable[[Keys], Model]] = {
    **{name: partial(as_saved, family=name, reader=reader) for name, reader in WITH_HEADS.items()},
    "data2vec-vision": data2vec,
}
