"""Encoders of pictures and of films with more beside their layers, or trained with a decoder."""

from collections.abc import Callable, Mapping
from functools import partial

from msgspec.structs import replace

from effattn_cli.architecture import Model
from effattn_cli.models.families.vision import dinov2
from effattn_cli.models.keys import Keys
from effattn_cli.models.pieces import dense, linear, norm
from effattn_cli.models.sight import Sight, patches, sight

DECODER = "the decoder that it is trained with counts as parameters; its layers are not in the list"


def _blocks(dim: int, hidden: int, count: int, *, biases: int = 4) -> int:
    """Parameters of layers; of the four projections, so many have a bias."""
    feed = dense(dim, hidden, "gelu", bias=True).parameters
    return count * (4 * linear(dim, dim) + biases * dim + feed + 2 * norm(dim, "layer"))


def _trained(keys: Keys, model: Model, numbers: int, *, biases: int = 4) -> int:
    """Parameters of the decoder, and of what leads into and out of it."""
    dim = keys.count("decoder_hidden_size", default=512)
    blocks = _blocks(
        dim, keys.count("decoder_intermediate_size", default=2048),
        keys.count("decoder_num_hidden_layers", default=8), biases=biases,
    )  # fmt: skip
    keys.skip("decoder_num_attention_heads")
    return dim + blocks + norm(dim, "layer") + linear(dim, numbers, bias=True) + model.dim * dim


def vit_mae(keys: Keys) -> Model:
    model, (number, numbers) = sight(keys, Sight()), patches(keys)
    dim = keys.count("decoder_hidden_size", default=512)
    more = _trained(keys, model, numbers) + (number + 1) * dim + dim
    return replace(model, other=model.other + more, notes=(DECODER,))


def videomae(keys: Keys) -> Model:
    """Places are sines; of queries, keys and values only the keys have no bias."""
    deep, (one, flat) = keys.count("tubelet_size", default=2), patches(keys, 224, 16)
    number = one * (keys.count("num_frames", default=16) // deep)
    numbers = flat * deep
    biased = keys.flag("qv_bias", default=True)
    style = Sight(tokens=0, positions=False, final=False, qkv_bias=biased, key_bias=False)
    keys.skip("use_mean_pooling")
    model = sight(keys, style, grid=(number, numbers))
    more = _trained(keys, model, numbers, biases=3 if biased else 1)
    return replace(model, other=model.other + more, notes=(DECODER,))


def yolos(keys: Keys) -> Model:
    """Tokens stand for what is to be found; later layers, too, have tables of positions."""
    tokens = 1 + keys.count("num_detection_tokens", default=100)
    style = Sight(tokens=tokens, pooler=True)
    model, (number, _) = sight(keys, style), patches(keys)
    rows = number + tokens
    tables = 1 + (
        len(model.layers) - 1 if keys.flag("use_mid_position_embeddings", default=True) else 0
    )
    return replace(model, embedding=(tokens + tables * rows) * model.dim)


def pixio(keys: Keys) -> Model:
    keys.skip("apply_layernorm")
    return sight(keys, Sight(tokens=keys.count("n_cls_tokens", default=8)))


def tipsv2(keys: Keys) -> Model:
    """As DINOv2 with registers, without its classifier."""
    return replace(dinov2(keys, registers=True), head=0)


def mlcd(keys: Keys) -> Model:
    """Rotary positions; [CLS] has a learned one."""
    dim, heads = keys.count("hidden_size"), keys.count("num_attention_heads")
    style = Sight(positions=False, patch_bias=False, before=True)
    return sight(keys, style, extra=dim // heads // 2)


def video_llama(keys: Keys) -> Model:
    """Pictures of any size: rotary positions."""
    if keys.get("image_size") is None:
        numbers = keys.count("num_channels", default=3) * keys.count("patch_size", default=16) ** 2
        model = sight(keys, Sight(tokens=0, positions=False), grid=(1, numbers))
        return replace(model, context=None)
    return sight(keys, Sight(tokens=0, positions=False))


def vitdet(keys: Keys) -> Model:
    """Windows in some layers, which its usual config has not."""
    for name in ("window_block_indices", "residual_block_indices"):
        if keys.get(name):
            raise keys.refuse(name, "blocks of other kinds are not understood")
    if keys.flag("use_relative_position_embeddings"):
        raise keys.refuse("use_relative_position_embeddings", "such scores are not understood")
    keys.skip("window_size")
    absolute = keys.flag("use_absolute_position_embeddings", default=True)
    trained = keys.count("pretrain_image_size", default=224) // keys.count("patch_size", default=16)
    rows = (trained * trained + 1) * absolute
    return sight(keys, Sight(tokens=0, positions=False, final=False), learned=rows)


FAMILIES: Mapping[str, Callable[[Keys], Model]] = {
    "vit_mae": vit_mae,
    "videomae": videomae,
    "yolos": yolos,
    "pixio": pixio,
    "tipsv2_vision_model": tipsv2,
    "mlcd": mlcd,
    "mlcd_vision_model": mlcd,
    "video_llama_3_vision": video_llama,
    "vitdet": vitdet,
    **{
        name: partial(sight, style=Sight(tokens=0))
        for name in ("idefics2_vision", "idefics3_vision", "smolvlm_vision")
    },
}
