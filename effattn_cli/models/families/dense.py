"""Decoders with softmax attention and a gated or plain feed-forward in every layer."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from msgspec.structs import replace as altered

from effattn_cli.architecture import Model
from effattn_cli.models.decoder import Style, decoder
from effattn_cli.models.families.reader import Reader
from effattn_cli.models.keys import Keys
from effattn_cli.models.layer_kinds import (
    FULL,
    SLIDING,
    from_a_depth,
    full_every,
    full_where,
    only,
    whole,
)

LLAMA = Style(layout=whole)  # `attention_bias` and `mlp_bias` decide
ATTENTION = replace(LLAMA, feed_keys=())  # `attention_bias` decides
BARE = replace(LLAMA, bias_keys=(), feed_keys=())  # no key decides
QUERIES = replace(ATTENTION, out_keys=())  # `attention_bias`, but of the first three projections
USED = replace(LLAMA, bias_keys=("use_bias",), feed_keys=("use_bias",))
QWEN2 = replace(BARE, qkv_bias=True, layout=from_a_depth)
QWEN3 = replace(ATTENTION, qk_norm="head", layout=from_a_depth)
OLMO2 = replace(ATTENTION, qk_norm="width")
GLM = QUERIES
COHERE = replace(ATTENTION, norm="layer", norm_bias=False, norms=1, parallel=True)
MISTRAL = replace(BARE, layout=None)  # a window everywhere, if there is one
UNGATED = replace(LLAMA, gated=False)


def full_counted_from_the_end(index: int, count: int) -> bool:
    """Every fourth layer, the last among them."""
    return (count - 1 - index) % 4 == 0


def exaone_layout(keys: Keys, count: int) -> list[str]:
    """Windows but in every fourth layer, or by letters; none at all where there is no window."""
    windowed, pattern = keys.get("sliding_window"), keys.get("sliding_window_pattern", default=4)
    if isinstance(pattern, str) and not set(pattern) - {"L", "G"}:
        letters = (pattern * count)[:count]
        return [SLIDING if windowed and letter == "L" else FULL for letter in letters]
    return full_every(4, "sliding_window_pattern")(keys, count) if windowed else [FULL] * count


MUSE = replace(
    ATTENTION, norms=4, gate="element", layout=full_where(full_counted_from_the_end), headless=True
)

STYLES: Mapping[str, Style] = {
    "apertus": replace(ATTENTION, gated=False, qk_norm="head"),
    "arcee": UNGATED,
    "cohere_compass_text": replace(COHERE, layout=only(FULL)),
    "cosmos3_edge_text": replace(UNGATED, headless=True),
    "cwm": replace(LLAMA, bias_keys=(), layout=full_every(4, first=True)),
    "emu3_text_model": replace(LLAMA, headless=True),
    "ernie4_5": USED,
    "exaone": LLAMA,
    "exaone4": replace(BARE, qk_norm="head", layout=exaone_layout),
    "glm": GLM,
    "glm4": replace(GLM, norms=4),
    "glm4v_text": replace(GLM, bias_keys=(), qkv_bias=True, norms=4, headless=True),
    "glm_image_text": replace(GLM, norms=4, headless=True),
    "glm_ocr_text": replace(GLM, bias_keys=(), norms=4, headless=True),
    "granite": LLAMA,
    "granite4_vision_text": replace(LLAMA, headless=True),
    "granite_docling_text": replace(LLAMA, headless=True),
    "granite_swa": replace(LLAMA, sinks="all", layout=full_every(4, first=True)),
    "helium": replace(LLAMA, out_keys=()),
    "hunyuan_v1_dense": replace(ATTENTION, qk_norm="head"),
    "hunyuan_vl_text": replace(ATTENTION, qk_norm="head", headless=True),
    "internlm3": replace(LLAMA, bias_keys=("attention_bias", "qkv_bias"),
                         feed_keys=("mlp_bias", "bias")),
    "iquestcoder": LLAMA,
    "jais2": replace(UNGATED, norm="layer"),
    "llama": LLAMA,
    "ministral": MISTRAL,
    "ministral3": MISTRAL,
    "mistral": MISTRAL,
    "muse_glimmer_text": MUSE,
    "nanochat": replace(ATTENTION, gated=False, norms=0, final_norm=False),
    "nemotron": replace(UNGATED, norm="layer"),
    "olmo": replace(ATTENTION, norms=0, final_norm=False),
    "olmo2": OLMO2,
    "olmo3": replace(OLMO2, layout=full_every(4)),
    "paddleocr_vl_text": replace(USED, headless=True),
    "phi3": MISTRAL,
    "qwen2": QWEN2,
    "qwen2_5_omni_text": replace(QWEN2, headless=True),
    "qwen2_5_vl_text": replace(QWEN2, headless=True),
    "qwen2_vl_text": replace(QWEN2, headless=True),
    "qwen3": QWEN3,
    "qwen3_vl_text": replace(QWEN3, layout=whole, headless=True),
    "seed_oss": replace(LLAMA, out_keys=("attention_out_bias",)),
    "starcoder2": replace(USED, norm="layer", gated=False, layout=None),
}  # fmt: skip


def cohere(keys: Keys) -> Model:
    """The first Command R: each head may have norms of its own."""
    normed = keys.flag("use_qk_norm")
    return decoder(keys, replace(COHERE, qk_norm="width" if normed else ""))


def cohere2(keys: Keys) -> Model:
    """Windows but in every fourth layer; also by the keys of its own code."""
    for key in ("use_gated_activation", "use_parallel_block", "use_embedding_sharing"):
        if not keys.flag(key, default=True):
            raise keys.refuse(key, "transformers builds it with true only")
    names = ("sliding_window_pattern", "layer_switch")
    return decoder(keys, replace(COHERE, layout=full_every(4, *names)))


def apertus_text(keys: Keys) -> Model:
    """The head may have fewer rows than the embedding."""
    model = decoder(keys, STYLES["apertus"])
    rows = keys.count("output_vocab_size", default=model.vocab)
    return model if model.tied else altered(model, head=rows * model.dim)


def smollm3(keys: Keys) -> Model:
    """A layer without positions has a window, if windows are on."""
    keys.skip("max_window_layers")

    def layout(keys: Keys, count: int) -> list[str]:
        on = keys.flag("use_sliding_window") and keys.get("sliding_window")
        every = keys.count("no_rope_layer_interval", default=4)
        turned = keys.numbers("no_rope_layers") or [(index + 1) % every for index in range(count)]
        return [SLIDING if on and not turns else FULL for turns in turned]

    return decoder(keys, replace(LLAMA, layout=layout))


def hyperclovax(keys: Keys) -> Model:
    """Norms after the halves where asked for."""
    return decoder(keys, replace(LLAMA, norms=4 if keys.flag("use_post_norm") else 2))


def stablelm(keys: Keys) -> Model:
    """Halves in parallel have one norm; heads may have layer norms without bias."""
    parallel = keys.flag("use_parallel_residual")
    style = Style(
        layout=whole, norm="layer",
        bias_keys=("use_qkv_bias",), out_keys=(), feed_keys=(), parallel=parallel,
        norms=1 if parallel else 2, qk_norm="width" if keys.flag("qk_layernorm") else "",
    )  # fmt: skip
    return decoder(keys, style)


def phi(keys: Keys) -> Model:
    """Halves in parallel, biases everywhere."""
    style = Style(
        layout=whole, norm="layer",
        qkv_bias=True, out_bias=True, feed_bias=True, bias_keys=(), out_keys=(),
        feed_keys=(), norms=1, gated=False, parallel=True, head_bias=True,
        qk_norm="layer" if keys.flag("qk_layernorm") else "",
    )  # fmt: skip
    return decoder(keys, style)


def persimmon(keys: Keys) -> Model:
    """Heads have layer norms unless told otherwise."""
    style = Style(
        layout=whole, norm="layer",
        qkv_bias=True, out_bias=True, feed_bias=True, bias_keys=(), out_keys=(),
        feed_keys=(), gated=False, qk_norm="layer" if keys.flag("qk_layernorm") else "",
    )  # fmt: skip
    return decoder(keys, style)


FAMILIES: Mapping[str, Reader] = {
    **{name: partial(decoder, style=style) for name, style in STYLES.items()},
    "apertus1p5_text": apertus_text,
    "cohere": cohere,
    "cohere2": cohere2,
    "hyperclovax": hyperclovax,
    "persimmon": persimmon,
    "phi": phi,
    "smollm3": smollm3,
    "stablelm": stablelm,
}
