"""What stands between an encoder of pictures or sounds and a language model."""

from collections.abc import Callable

from effattn_cli.architecture import Model
from effattn_cli.models.keys import Keys
from effattn_cli.models.pieces import linear, norm
from effattn_cli.models.towers import Beside, Readers, tower, width


def two(inputs: int, outputs: int, *, bias: bool = True) -> int:
    """Two linear layers, the second from its width to the same."""
    return linear(inputs, outputs, bias=bias) + linear(outputs, outputs, bias=bias)


def llava(kind: str, *, newline: bool = False, towers: int = 1) -> Beside:
    """LLaVA's; `newline`: a vector for the ends of lines of patches."""

    def beside(keys: Keys, model: Model, readers: Readers) -> int:
        seen, part = tower(keys, "vision_config", kind, readers)
        layers = keys.get("vision_feature_layer")
        inputs = width(part) * (len(layers) if isinstance(layers, list) else 1)
        bias = keys.flag("multimodal_projector_bias", default=True)
        return seen * towers + two(inputs, model.dim, bias=bias) + newline * model.dim

    return beside


def vipllava(keys: Keys, model: Model, readers: Readers) -> int:
    """It joins the outputs of several layers, and norms them."""
    seen, part = tower(keys, "vision_config", "clip_vision_model", readers)
    layers = keys.get("vision_feature_layer", default=[-2, -5, -8, -11, 6])
    inputs = width(part) * (len(layers) if isinstance(layers, list) else 1)
    return seen + norm(inputs, "layer") + two(inputs, model.dim)


def paligemma(keys: Keys, model: Model, readers: Readers) -> int:
    seen, part = tower(keys, "vision_config", "siglip_vision_model", readers)
    outputs = part.count("projection_dim", default=keys.count("projection_dim", default=model.dim))
    return seen + linear(width(part), outputs, bias=True)


def gemma3(keys: Keys, model: Model, readers: Readers) -> int:
    seen, part = tower(keys, "vision_config", "siglip_vision_model", readers)
    return seen + linear(width(part), model.dim) + norm(width(part), "rms")


def mistral3(keys: Keys, model: Model, readers: Readers) -> int:
    """Squares of patches are joined first."""
    seen, part = tower(keys, "vision_config", "pixtral", readers)
    dim, side = width(part), keys.count("spatial_merge_size", default=2)
    layers = keys.get("vision_feature_layer")
    inputs = dim * (len(layers) if isinstance(layers, list) else 1)
    bias = keys.flag("multimodal_projector_bias")
    joined = norm(dim, "rms") + linear(dim * side * side, dim)
    return seen + joined + two(inputs, model.dim, bias=bias)


def internvl(keys: Keys, model: Model, readers: Readers) -> int:
    seen, part = tower(keys, "vision_config", "internvl_vision", readers)
    ratio = keys.number("downsample_ratio") or 0.5
    if not 0 < ratio <= 1:
        raise keys.refuse("downsample_ratio", "expected a number of up to 1")
    inputs = width(part) * int(1 / ratio) ** 2
    return seen + norm(inputs, "layer") + two(inputs, model.dim)


def idefics3(keys: Keys, model: Model, readers: Readers) -> int:
    seen, part = tower(keys, "vision_config", "idefics3_vision", readers)
    return seen + linear(width(part) * keys.count("scale_factor", default=2) ** 2, model.dim)


def cohere2(keys: Keys, model: Model, readers: Readers) -> int:
    """Gated by halves."""
    seen, part = tower(keys, "vision_config", "siglip_vision_model", readers)
    inputs = width(part) * keys.count("downsample_factor", default=2) ** 2
    hidden = keys.count("alignment_intermediate_size", default=36864)
    return seen + linear(inputs, hidden, bias=True) + linear(hidden // 2, model.dim, bias=True)


def deepseek(keys: Keys, model: Model, readers: Readers) -> int:
    seen, part = tower(keys, "vision_config", "siglip_vision_model", readers)
    return seen + two(width(part), model.dim)


def lfm2(keys: Keys, model: Model, readers: Readers) -> int:
    seen, part = tower(keys, "vision_config", "siglip2_vision_model", readers)
    inputs = width(part) * keys.count("downsample_factor", default=2) ** 2
    hidden, bias = keys.count("projector_hidden_size"), keys.flag("projector_bias", default=True)
    normed = norm(inputs, "layer") if keys.flag("projector_use_layernorm", default=True) else 0
    return seen + normed + linear(inputs, hidden, bias=bias) + linear(hidden, model.dim, bias=bias)


def within(kind: str) -> Beside:
    """The tower projects by itself."""
    return lambda keys, _, readers: tower(keys, "vision_config", kind, readers)[0]


def hyperclovax(keys: Keys, model: Model, readers: Readers) -> int:
    seen, part = tower(keys, "vision_config", "qwen2_5_vl_vision", readers)
    return seen + linear(part.count("out_hidden_size"), model.dim, bias=True)


def fuyu(keys: Keys, model: Model, _: Readers) -> int:
    """Patches go into the language model, each by one linear layer."""
    side = keys.count("patch_size", default=30)
    return linear(side * side * keys.count("num_channels", default=3), model.dim, bias=True)


def qwen2_audio(keys: Keys, model: Model, readers: Readers) -> int:
    heard, part = tower(keys, "audio_config", "qwen2_audio_encoder", readers)
    return heard + linear(width(part), model.dim, bias=True)


def voxtral(keys: Keys, model: Model, readers: Readers) -> int:
    """Frames are joined, as many as make the tower's feed-forward's width."""
    heard, part = tower(keys, "audio_config", "voxtral_encoder", readers)
    return heard + two(part.count("intermediate_size"), model.dim, bias=False)


def flamingo(keys: Keys, model: Model, readers: Readers) -> int:
    heard, part = tower(keys, "audio_config", "audioflamingo3_encoder", readers)
    bias = keys.flag("projector_bias", default=True)
    return heard + two(width(part), model.dim, bias=bias)


def glmasr(keys: Keys, model: Model, readers: Readers) -> int:
    heard, part = tower(keys, "audio_config", "glmasr_encoder", readers)
    inputs = part.count("intermediate_size")
    return (
        heard
        + linear(inputs, 2 * model.dim, bias=True)
        + linear(2 * model.dim, model.dim, bias=True)
    )


BESIDE: dict[str, Callable[[Keys, Model, Readers], int]] = {
    "llava": llava("clip_vision_model"),
    "llava_next": llava("clip_vision_model", newline=True),
    "llava_next_video": llava("clip_vision_model", newline=True),
    "llava_onevision": llava("siglip_vision_model", newline=True),
    "video_llava": llava("clip_vision_model", towers=2),
    "vipllava": vipllava,
    "paligemma": paligemma,
    "gemma3": gemma3,
    "shieldgemma2": gemma3,
    "mistral3": mistral3,
    "internvl": internvl,
    "idefics3": idefics3,
    "smolvlm": idefics3,
    "cohere2_vision": cohere2,
    "deepseek_vl": deepseek,
    "lfm2_vl": lfm2,
    "qwen2_vl": within("qwen2_vl_vision"),
    "qwen2_5_vl": within("qwen2_5_vl_vision"),
    "qwen3_vl": within("qwen3_vl_vision"),
    "qwen3_vl_moe": within("qwen3_vl_moe_vision"),
    "qwen3_5": within("qwen3_5_vision"),
    "qwen3_5_moe": within("qwen3_5_moe_vision"),
    "hyperclovax_vision_v2": hyperclovax,
    "fuyu": fuyu,
    "qwen2_audio": qwen2_audio,
    "voxtral": voxtral,
    "audioflamingo3": flamingo,
    "musicflamingo": flamingo,
    "glmasr": glmasr,
}
