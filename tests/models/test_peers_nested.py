"""Nested models: weights and caches to the byte those of transformers' own."""

import json
from typing import Any

import pytest
import torch

transformers = pytest.importorskip("transformers", minversion="5.24")
from transformers.models.auto import configuration_auto  # noqa: E402

from benchmarks.model_configs import model_class, parameters  # noqa: E402
from effattn_cli.models.nested import ONLY  # noqa: E402
from effattn_cli.models.reading import understood  # noqa: E402

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]
Case = dict[str, Any]
TEXT: Case = {
    "vocab_size": 99, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "intermediate_size": 48, "head_dim": 8, "pad_token_id": 0,
    "max_position_embeddings": 64,
}  # fmt: skip
SEEN: Case = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24,
    "image_size": 16, "patch_size": 4,
}  # fmt: skip
HEARD: Case = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
    "num_mel_bins": 8, "max_source_positions": 10,
}  # fmt: skip
MIXED = {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2]}}
DEEP: Case = {"depth": 3, "num_heads": 2, "patch_size": 4, "out_hidden_size": 32}
QWEN3: Case = {
    "text_config": TEXT | MIXED,
    "vision_config": DEEP | {"hidden_size": 16, "intermediate_size": 24,
                             "num_position_embeddings": 16, "deepstack_visual_indexes": [0, 2]},
}  # fmt: skip
FREE: Case = {"tie_word_embeddings": False}


def llama(kind: str = "llama", tower: str = "clip_vision_model", **more: Any) -> Case:
    return {"text_config": TEXT | {"model_type": kind},
            "vision_config": SEEN | {"model_type": tower}, **more}  # fmt: skip


def spoken(kind: str, part: Case, **more: Any) -> Case:
    return {"text_config": TEXT | {"model_type": kind}, "audio_config": part, **more}


CASES: list[tuple[str, Case]] = [
    ("llava", llama()),
    ("llava", llama(vision_feature_layer=[-2, -1], multimodal_projector_bias=False)),
    ("llava", llama("mistral", "siglip_vision_model")),
    ("llava", llama("qwen2", "pixtral")),
    ("llava_next", llama()),
    ("llava_next_video", llama()),
    ("llava_onevision", llama("qwen2", "siglip_vision_model")),
    ("video_llava", llama()),
    ("vipllava", llama(vision_feature_layer=[-2, -1])),
    ("paligemma", llama("gemma", "siglip_vision_model", projection_dim=32)),
    ("gemma3", llama("gemma3_text", "siglip_vision_model")),
    ("gemma3", llama("gemma3_text", "siglip_vision_model", **FREE)),
    ("mistral3", llama("mistral", "pixtral", spatial_merge_size=2)),
    ("internvl", llama("qwen2", "internvl_vision", **FREE)),
    ("idefics3", llama("llama", "idefics3_vision", scale_factor=3)),
    ("smolvlm", llama("llama", "smolvlm_vision", scale_factor=2)),
    ("cohere2_vision", llama("cohere2", "siglip_vision_model", alignment_intermediate_size=20)),
    ("deepseek_vl", llama("llama", "siglip_vision_model")),
    ("lfm2_vl", {"text_config": TEXT | {"model_type": "lfm2", "layer_types": ["conv"] * 3},
                 "vision_config": {key: SEEN[key] for key in SEEN if key != "image_size"}
                 | {"model_type": "siglip2_vision_model", "num_patches": 16}}),
    ("qwen2_vl", {"text_config": TEXT | MIXED,
                  "vision_config": {"depth": 2, "embed_dim": 16, "num_heads": 2, "patch_size": 4,
                                    "hidden_size": 32, "mlp_ratio": 2}}),
    ("qwen2_5_vl", {"text_config": TEXT | MIXED | FREE,
                    "vision_config": DEEP | {"hidden_size": 16, "intermediate_size": 24}}),
    ("qwen3_vl", QWEN3),
    ("qwen3_vl", QWEN3 | {"tie_word_embeddings": True}),
    ("aya_vision", llama("cohere2", "siglip_vision_model")),
    ("qwen2_audio", spoken("qwen2", {
        "d_model": 16, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 24,
        "num_mel_bins": 8, "max_source_positions": 10, "model_type": "qwen2_audio_encoder"})),
    ("voxtral", spoken("llama", HEARD)),
    ("audioflamingo3", spoken("qwen2", HEARD | {"model_type": "audioflamingo3_encoder"})),
    ("glmasr", spoken("llama", {key: HEARD[key] for key in HEARD if "positions" not in key})),
]  # fmt: skip


@pytest.mark.parametrize(
    ("family", "case"), [pytest.param(*one, id=f"{one[0]}-{at}") for at, one in enumerate(CASES)]
)
def test_weights_are_as_many_as_those_of_transformers(family: str, case: Case) -> None:
    config = getattr(transformers, configuration_auto.CONFIG_MAPPING_NAMES[family])(**case)
    for whole in (True, False):
        model = understood(json.loads(config.to_json_string(use_diff=not whole)), family)
        only = any(ONLY in note for note in model.notes)
        assert only is (family == "aya_vision")
        kind = model_class(family, config)
        assert model.parameters == parameters(config, kind, language=only)


@torch.no_grad()
def test_its_cache_is_the_language_model_s() -> None:
    config = transformers.LlavaConfig(**llama())
    out = transformers.LlavaForConditionalGeneration(config).eval()(
        input_ids=torch.full((1, 9), 5), use_cache=True
    )
    found = sum(one.keys.nbytes + one.values.nbytes for one in out.past_key_values.layers)
    model = understood(json.loads(config.to_json_string(use_diff=False)), "llava")
    keeps = [one for layer in model.layers for one in layer.keeps]
    assert found == sum(one.bytes(9, "float32") for one in keeps)
