"""Parameters of what a model sees and hears with: towers and projectors beside a language model."""

from collections.abc import Callable, Mapping
from typing import Any

from effattn_cli.architecture import Model
from effattn_cli.models.families.reader import Reader
from effattn_cli.models.keys import Keys
from effattn_cli.models.pieces import dense, linear, norm
from effattn_cli.models.sight import Sight, sight

Readers = Mapping[str, Reader]
#: Parameters of all beside the language model, of which the model is given.
Beside = Callable[[Keys, Model, Readers], int]


def tower(keys: Keys, name: str, kind: str, readers: Readers) -> tuple[int, Keys]:
    """Parameters of the encoder whose config is in that part, and the part; `kind` is its usual
    `model_type`.

    Raises:
        UsageError: it is not known, or cannot be read.
    """
    given: Any = keys.get(name)
    named = given.get("model_type") if isinstance(given, dict) else None
    kind = named if isinstance(named, str) and named else kind
    part = keys.part(name, kind)
    part.skip("model_type")
    if kind in TOWERS:
        return TOWERS[kind](part), part
    if kind not in readers:
        raise part.refuse("model_type", "the parameters of such an encoder are not counted")
    model = readers[kind](part)
    return model.parameters - model.head, part


def width(part: Keys) -> int:
    return part.count("hidden_size", "d_model")


def _internvl(keys: Keys) -> int:
    """Scales in the layers; keys have a bias only where all have."""
    dim = keys.count("hidden_size")
    bias = keys.flag("attention_bias")
    style = Sight(
        qkv_bias=bias, scales=2, final=False,
        positions=keys.flag("use_absolute_position_embeddings", default=True),
    )  # fmt: skip
    if keys.word("norm_type", default="layer_norm") != "layer_norm":
        raise keys.refuse("norm_type", "only layer norms are understood")
    if keys.flag("use_qk_norm"):
        raise keys.refuse("use_qk_norm", "norms of queries and keys are not understood")
    if not keys.flag("use_mean_pooling", default=True):
        raise keys.refuse("use_mean_pooling", "only true is understood")
    masked = dim if keys.flag("use_mask_token") else 0
    return sight(keys, style, extra=masked).parameters


def _layers(dim: int, hidden: int, *, gated: bool, kind: str) -> int:
    """Of a layer with biases in everything but the norms of an RMS kind."""
    norms = 2 * norm(dim, "rms" if kind == "rms" else "layer")
    feed = dense(dim, hidden, "gelu", gated=gated, bias=True).parameters
    return 4 * linear(dim, dim, bias=True) + feed + norms


def _merged(keys: Keys, dim: int, outputs: int, kind: str) -> int:
    """Of what joins the patches of a square into one, and projects it."""
    wide = dim * keys.count("spatial_merge_size", default=2) ** 2
    first = norm(dim, "rms" if kind == "rms" else "layer")
    return first + linear(wide, wide, bias=True) + linear(wide, outputs, bias=True)


def _patch(keys: Keys, dim: int, *, bias: bool) -> int:
    """Of the patches of several pictures of a film."""
    side = keys.count("patch_size", default=14)
    deep = keys.count("temporal_patch_size", default=2)
    channels = keys.count("in_channels", "in_chans", default=3)
    return linear(channels * deep * side * side, dim, bias=bias)


def _qwen2(keys: Keys) -> int:
    dim = keys.count("embed_dim", default=1280)
    hidden = int(dim * keys.count("mlp_ratio", default=4))
    blocks = keys.count("depth", default=32) * _layers(dim, hidden, gated=False, kind="layer")
    outputs = keys.count("hidden_size", default=3584)
    return _patch(keys, dim, bias=False) + blocks + _merged(keys, dim, outputs, "layer")


def _qwen2_5(keys: Keys) -> int:
    dim, hidden = keys.count("hidden_size"), keys.count("intermediate_size")
    blocks = keys.count("depth") * _layers(dim, hidden, gated=True, kind="rms")
    keys.skip("window_size", "fullatt_block_indexes", "num_heads")
    outputs = keys.count("out_hidden_size", default=3584)
    return _patch(keys, dim, bias=False) + blocks + _merged(keys, dim, outputs, "rms")


def _qwen3(keys: Keys) -> int:
    """Some layers' outputs go into the language model's first layers, each through its own join."""
    dim, hidden = keys.count("hidden_size"), keys.count("intermediate_size")
    blocks = keys.count("depth") * _layers(dim, hidden, gated=False, kind="layer")
    outputs = keys.count("out_hidden_size", default=3584)
    places = keys.count("num_position_embeddings", default=2304) * dim
    wide = dim * keys.count("spatial_merge_size", default=2) ** 2
    deep = len(keys.items("deepstack_visual_indexes") or [])
    one = norm(wide, "layer") + linear(wide, wide, bias=True) + linear(wide, outputs, bias=True)
    joined = _merged(keys, dim, outputs, "layer") + deep * one
    return _patch(keys, dim, bias=True) + places + blocks + joined


#: By `model_type`, encoders that are only parts of others.
TOWERS: Mapping[str, Callable[[Keys], int]] = {
    "internvl_vision": _internvl,
    "qwen2_vl_vision": _qwen2,
    "qwen2_5_vl_vision": _qwen2_5,
    "qwen2_5_vl": _qwen2_5,
    "qwen2_vl": _qwen2,
    "qwen3_vl": _qwen3,
    "qwen3_vl_moe": _qwen3,
    "qwen3_vl_vision": _qwen3,
    "qwen3_vl_moe_vision": _qwen3,
    "qwen3_5_vision": _qwen3,
    "qwen3_5_moe_vision": _qwen3,
}
