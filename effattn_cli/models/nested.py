"""Models whose config holds a language model's: this one's layers are read by its own family."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from msgspec.structs import replace

from effattn_cli.architecture import Model
from effattn_cli.errors import UsageError
from effattn_cli.models.families.reader import Reader
from effattn_cli.models.families.refused import REFUSED
from effattn_cli.models.keys import Keys
from effattn_cli.models.projectors import BESIDE
from effattn_cli.models.usual import usual

ONLY = "language model only"
#: Keys beside a part that say of a whole what the part says of itself.
REPEATED = ("hidden_size", "vocab_size", "num_hidden_layers", "num_attention_heads", "head_dim")
#: Keys beside it that speak of projectors and of what cuts sounds into pieces.
ASIDE = ("window_size", "acoustic_tokenizer_chunk_size", "seconds_per_chunk")


@dataclass(frozen=True, kw_only=True)
class Nested:
    """Where the language model stands, and what it is as usual."""

    inner: str  # its `model_type`, where the part does not say
    tied: bool = False  # whether the head's weights are the embedding's, as usual
    part: str = "text_config"
    flat: bool = False  # older files have the language model's keys beside the other parts
    without: tuple[str, ...] = ()  # keys of the part that are about training, or about a prefix
    notes: tuple[str, ...] = ()


def nested(keys: Keys, family: str, form: Nested, readers: Mapping[str, Reader]) -> Model:
    """The language model; what sees and hears counts under `other` where it can be counted."""
    model = _language(keys, form, readers)
    head = model.head - (0 if model.tied else model.vocab * model.dim)  # a bias, if any
    tied = keys.flag("tie_word_embeddings", default=model.tied or form.tied)
    head = max(head, 0) + (0 if tied else model.vocab * model.dim)
    model = replace(model, tied=tied, head=head, notes=(*model.notes, *form.notes))
    keys.skip(*(key for key in keys if key.endswith("_config")))
    if family not in BESIDE:
        return replace(model, notes=(*model.notes, f"{ONLY}: what else there is, is not counted"))
    try:
        beside = BESIDE[family](keys, model, readers)
    except UsageError as error:
        return replace(model, notes=(*model.notes, f"{ONLY}: {error}"[:300]))
    note = "what sees and hears counts as parameters; its layers are not in the list"
    return replace(model, other=model.other + beside, notes=(*model.notes, note))


def _language(keys: Keys, form: Nested, readers: Mapping[str, Reader]) -> Model:
    given: Any = keys.get(form.part)
    flat = form.flat and given is None
    kind = form.inner if flat else _kind(given, form)
    if kind not in readers:
        why = REFUSED.get(kind, "its family is not known")
        raise UsageError(f"{keys.name}: {form.part}: {kind} is not read: {why}")
    if flat:
        keys.assume(usual(kind))
        return readers[kind](keys)
    part = keys.part(form.part, kind, form.without)
    part.skip("model_type")
    keys.skip(*REPEATED, *ASIDE)
    model = readers[kind](part)
    dtype = part.get("dtype", "torch_dtype")
    return replace(model, dtype=dtype) if dtype in ("float32", "bfloat16", "float16") else model


def _kind(given: Any, form: Nested) -> str:
    kind = given.get("model_type") if isinstance(given, dict) else None
    return kind if isinstance(kind, str) and kind else form.inner


FORMS: Mapping[str, Nested] = {
    "llava": Nested(inner="llama"),
    "llava_next": Nested(inner="llama"),
    "llava_next_video": Nested(inner="llama"),
    "llava_onevision": Nested(inner="qwen2"),
    "video_llava": Nested(inner="llama"),
    "vipllava": Nested(inner="llama"),
    "paligemma": Nested(
        inner="gemma",
        tied=True,
        without=("use_bidirectional_attention",),
        notes=("the tokens of a prompt see one another both ways; read as causal",),
    ),
    "gemma3": Nested(inner="gemma3_text", tied=True),
    "shieldgemma2": Nested(inner="gemma3_text", tied=True),
    "gemma3n": Nested(inner="gemma3n_text", tied=True),
    "gemma4": Nested(inner="gemma4_text", tied=True),
    "gemma4_unified": Nested(inner="gemma4_unified_text", tied=True),
    "mistral3": Nested(inner="mistral", tied=True),
    "internvl": Nested(inner="qwen2", tied=True),
    "qianfan_ocr": Nested(inner="qwen3"),
    "idefics2": Nested(inner="mistral"),
    "idefics3": Nested(inner="llama"),
    "smolvlm": Nested(inner="llama"),
    "aya_vision": Nested(inner="cohere2", tied=True),
    "cohere2_vision": Nested(inner="cohere2", tied=True),
    "cohere_compass": Nested(inner="cohere_compass_text"),
    "deepseek_vl": Nested(inner="llama", tied=True),
    "deepseek_vl_hybrid": Nested(inner="llama", tied=True),
    "janus": Nested(inner="llama", tied=True),
    "lfm2_vl": Nested(inner="lfm2", tied=True),
    "lfm3_vl": Nested(inner="lfm3", tied=True),
    "qwen2_vl": Nested(inner="qwen2_vl_text", flat=True),
    "qwen2_5_vl": Nested(inner="qwen2_5_vl_text", flat=True),
    "qwen3_vl": Nested(inner="qwen3_vl_text"),
    "qwen3_vl_moe": Nested(inner="qwen3_vl_moe_text"),
    "qwen3_5": Nested(inner="qwen3_5_text"),
    "qwen3_5_moe": Nested(inner="qwen3_5_moe_text"),
    "qwen4_exp": Nested(inner="qwen4_exp_text"),
    "qwen2_5_omni_thinker": Nested(inner="qwen2_5_omni_text"),
    "qwen3_omni_moe_thinker": Nested(inner="qwen3_omni_moe_text"),
    "hyperclovax_vision_v2": Nested(inner="hyperclovax", tied=True),
    "dots3_note": Nested(inner="dots3_note_text"),
    "ernie4_5_vl_moe": Nested(inner="ernie4_5_vl_moe_text", tied=True),
    "unlimited_ocr": Nested(inner="unlimited_ocr_text"),
    "exaone4_5": Nested(inner="exaone4"),
    "fuyu": Nested(inner="persimmon"),
    "aria": Nested(inner="aria_text"),
    "emu3": Nested(inner="emu3_text_model"),
    "llama4": Nested(inner="llama4_text"),
    "fast_vlm": Nested(inner="qwen2"),
    "florence2": Nested(inner="bart", tied=True),
    "glm4v": Nested(inner="glm4v_text"),
    "glm46v": Nested(inner="glm4v_text"),
    "glmga": Nested(inner="glm4v_text"),
    "glm4v_moe": Nested(inner="glm4v_moe_text"),
    "glm_ocr": Nested(inner="glm_ocr_text"),
    "glm5_next": Nested(inner="glm5_next_text"),
    "hunyuan_vl": Nested(inner="hunyuan_vl_text", tied=True),
    "kimi_k25": Nested(inner="deepseek_v3", tied=True),
    "lighton_ocr": Nested(inner="qwen3"),
    "got_ocr2": Nested(inner="qwen2", tied=True),
    "pp_chart2table": Nested(inner="qwen2", tied=True),
    "ovis2": Nested(inner="qwen2", tied=True),
    "perception_lm": Nested(inner="llama"),
    "video_llama_3": Nested(inner="qwen2"),
    "paddleocr_vl": Nested(inner="paddleocr_vl_text"),
    "molmo2": Nested(inner="molmo2_text"),
    "cosmos3_edge": Nested(inner="cosmos3_edge_text"),
    "granite4_vision": Nested(inner="granite4_vision_text"),
    "granite_docling": Nested(inner="granite_docling_text", tied=True),
    "minimax_m3_vl": Nested(inner="minimax_m3_vl_text"),
    "step3p7": Nested(inner="step3p5"),
    "deepseek_ocr2": Nested(inner="deepseek_ocr2_text"),
    "muse_glimmer": Nested(inner="muse_glimmer_text"),
    "muse_spark": Nested(inner="muse_spark_text"),
    "nemotron_h_omni": Nested(inner="nemotron_h"),
    "apertus1p5": Nested(inner="apertus1p5_text"),
    "blip-2": Nested(inner="opt", tied=True),
    "instructblip": Nested(inner="opt", tied=True),
    "instructblipvideo": Nested(inner="opt", tied=True),
    "qwen2_audio": Nested(inner="qwen2"),
    "voxtral": Nested(inner="llama"),
    "audioflamingo3": Nested(inner="qwen2"),
    "musicflamingo": Nested(inner="qwen2"),
    "glmasr": Nested(inner="llama", tied=True),
    "granite_speech": Nested(inner="granite", tied=True),
    "granite_speech_plus": Nested(inner="granite", tied=True),
    "qwen3_asr": Nested(inner="qwen3", tied=True),
    "vibevoice_asr": Nested(inner="qwen2"),
    "vibevoice": Nested(inner="qwen2"),
    "omniasr": Nested(inner="llama"),
    "fun_asr_nano": Nested(inner="qwen3", tied=True),
    "nemo_speechlm": Nested(inner="nemotron_h"),
}


def families(readers: Mapping[str, Reader]) -> Mapping[str, Reader]:
    """What reads nested configs, by the readers of language models and of encoders."""
    return {
        name: partial(nested, family=name, form=form, readers=readers)
        for name, form in FORMS.items()
    }
