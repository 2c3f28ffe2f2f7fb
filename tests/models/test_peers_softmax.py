"""Weights and caches of softmax decoders, equal to the byte to those of transformers' own."""

import json
from importlib import import_module
from typing import Any

import pytest
from msgspec.structs import replace

transformers = pytest.importorskip("transformers", minversion="5.24")

from benchmarks import model_configs  # noqa: E402
from effattn_cli.models.families import dense, gated, gemma, gemma4, mixtures, older  # noqa: E402
from effattn_cli.models.usual import TABLE  # noqa: E402
from tests.models import peers  # noqa: E402
from tests.models.mixers import measurable  # noqa: E402

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]
TURNS = {"rope_type": "default", "rope_theta": 10000.0}
SECTIONS = {"rope_parameters": {**TURNS, "mrope_section": [2, 3, 3]}}
#: What a family needs besides, or is tried with.
MORE: dict[str, list[dict[str, Any]]] = {
    "afmoe": [{"num_dense_layers": 2}, {"attention_bias": True}],
    "bloom": [{}, {"hidden_size": 32}],
    "cohere": [{"use_qk_norm": True}, {}],
    "cohere2_moe": [{"first_k_dense_replace": 2, "prefix_dense_intermediate_size": 48,
                     "num_shared_experts": 2}, {}],
    "cosmos3_edge_text": [SECTIONS],
    "dbrx": [{"attn_config": {"kv_n_heads": 2, "rope_theta": 10000.0, "clip_qkv": 8.0},
              "ffn_config": {"ffn_hidden_size": 48, "moe_num_experts": 3, "moe_top_k": 2}}],
    "dots1": [{"n_shared_experts": 1, "first_k_dense_replace": 2}],
    "ernie4_5": [{"use_bias": True}, {}],
    "ernie4_5_moe": [{"moe_layer_interval": 2, "use_bias": False}],
    "exaone4": [{}, {"sliding_window": None, "layer_types": ["full_attention"] * 6}],
    "falcon": [{}, {"new_decoder_architecture": True, "num_kv_heads": 2}, {"parallel_attn": False},
               {"multi_query": False, "alibi": True, "bias": True}],
    "flint": [{"decoder_sparse_step": 2}],
    "embedding_gemma2_text": [{"embedding_dim": 40, "hidden_size_per_layer_input": 8}],
    "gemma3_text": [{}, {"use_bidirectional_attention": True}],
    "gemma3n_text": [{"num_kv_shared_layers": 1, "vocab_size_per_layer_input": 320,
                      "hidden_size_per_layer_input": 8, "laurel_rank": 4}],
    "gemma4_text": [
        {"num_kv_shared_layers": 0, "hidden_size_per_layer_input": 8, "enable_moe_block": True,
         "vocab_size_per_layer_input": 320, "top_k_experts": 2, "attention_k_eq_v": True,
         "num_global_key_value_heads": 1, "global_head_dim": 32},
        {"num_hidden_layers": 12, "num_kv_shared_layers": 4, "use_double_wide_mlp": True},
    ],
    "gemma4_unified_text": [{"num_hidden_layers": 12, "num_kv_shared_layers": 4}],
    "glm4_moe": [{"use_qk_norm": True, "attention_bias": True, "num_attention_heads": 6}],
    "glm4v_moe_text": [{"rope_parameters": {**TURNS, "mrope_section": [1, 1, 2],
                                            "partial_rotary_factor": 0.5}}],
    "glm4v_text": [SECTIONS],
    "glm_image_text": [SECTIONS],
    "glm_ocr_text": [SECTIONS],
    "gpt_bigcode": [{}, {"multi_query": False}],
    "gpt_neo": [{"attention_types": [[["global", "local"], 3]]}],
    "gpt_neox": [{"use_parallel_residual": False, "attention_bias": False}],
    "granitemoe_swa": [{"shared_intermediate_size": 48}],
    "hyperclovax": [{"use_post_norm": True}, {"use_post_norm": False}],
    "laguna": [{"layer_types": ["full_attention", "sliding_attention"] * 3,
                "num_attention_heads_per_layer": [2, 4] * 3}, {"gating": "per-element"}],
    "llama": [{}, {"attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True}],
    "llama4_text": [{"interleave_moe_layer_step": 2, "intermediate_size_mlp": 80},
                    {"attention_chunk_size": None}],
    "mimo_v2_flash": [{"v_head_dim": 12, "num_key_value_heads": 1}],
    "modernbert-decoder": [{}, {"norm_bias": True, "classifier_bias": True}],
    "molmo2_text": [{}, {"qk_norm_type": "olmo", "additional_vocab_size": 5}],
    "muse_spark_text": [{"moe_hidden_size": 32, "mlp_layer_types": ["dense"] + ["sparse"] * 5}],
    "opt": [{}, {"word_embed_proj_dim": 32}, {"do_layer_norm_before": False},
            {"layer_norm_elementwise_affine": False, "enable_bias": False}],
    "phi": [{}, {"qk_layernorm": True}],
    "phimoe": [{"lm_head_bias": True, "attention_bias": True}],
    "qwen2": [{}, {"use_sliding_window": True, "max_window_layers": 2}],
    "qwen2_5_vl_text": [SECTIONS],
    "qwen2_moe": [{}, {"use_sliding_window": True, "decoder_sparse_step": 2, "qkv_bias": False}],
    "qwen2_vl_text": [SECTIONS],
    "qwen3_moe": [{"mlp_only_layers": [1]}],
    "smollm3": [{}, {"use_sliding_window": True}],
    "stablelm": [{}, {"use_parallel_residual": True, "qk_layernorm": True, "use_qkv_bias": True}],
}  # fmt: skip
#: Transformers has no class that people load of these: a part of a whole, or as its text model.
PARTS = {
    "deepseek_ocr2_text", "emu3_text_model", "gemma4_assistant", "gemma4_unified_assistant",
    "granite4_vision_text", "paddleocr_vl_text", "qwen2_5_omni_text", "qwen3_omni_moe_text",
    "qwen3_omni_moe_talker_text",
}  # fmt: skip
#: What the released code of transformers 5.24 does not build or run.
BROKEN = {"cohere_compass_text"}
CASES = [
    pytest.param(family, more, id=f"{family}-{number}")
    for module in (dense, gated, gemma, gemma4, mixtures, older)
    for family in sorted(set(module.FAMILIES) - PARTS - BROKEN)
    for number, more in enumerate(MORE.get(family, [{}]))
]


@pytest.mark.parametrize(("family", "more"), CASES)
def test_weights_are_those_of_transformers(family: str, more: dict[str, Any]) -> None:
    config = peers.small_config(family, **more)
    assert 4 * peers.in_full(config).parameters == peers.weights(peers.built(family, config))


@pytest.mark.parametrize(("family", "more"), CASES)
def test_what_is_kept_is_what_transformers_caches(family: str, more: dict[str, Any]) -> None:
    if family == "openai-gpt":
        pytest.skip("transformers computes it anew for each token")
    if family == "hunyuan_vl_text":
        pytest.skip("its text model wants positions of images")
    config = peers.small_config(family, **more)
    if not all(layer.mixer and layer.mixer.causal for layer in peers.in_full(config).layers):
        assert not peers.kept(peers.in_full(config))
        return
    before = getattr(config, "prompt_length", 0)  # tokens of a prompt of its own
    found = peers.cached(peers.built(family, config))
    assert peers.kept(peers.in_full(config), peers.TOKENS + before) == found


@pytest.mark.parametrize(("family", "more"), CASES)
def test_a_saved_config_says_the_same_as_a_full_one(family: str, more: dict[str, Any]) -> None:
    config = peers.small_config(family, **more)
    assert peers.as_saved(config) == replace(peers.in_full(config), notes=())


@pytest.mark.parametrize(("family", "more"), CASES)
def test_each_mixer_can_be_measured(family: str, more: dict[str, Any]) -> None:
    model = peers.in_full(peers.small_config(family, **more))
    for mixer in {layer.mixer for layer in model.layers if layer.mixer is not None}:
        assert measurable(model, mixer) > 0


#: The classes of the parts of wholes.
INNER: dict[str, tuple[str, str, dict[str, Any]]] = {
    "deepseek_ocr2_text": ("deepseek_ocr2", "DeepseekOcr2TextModel",
                           {"mlp_layer_types": ["dense"] + ["sparse"] * 5}),
    "emu3_text_model": ("emu3", "Emu3TextModel", {}),
    "granite4_vision_text": ("granite4_vision", "Granite4VisionTextModel", {}),
    "paddleocr_vl_text": ("paddleocr_vl", "PaddleOCRTextModel", SECTIONS),
    "qwen2_5_omni_text": ("qwen2_5_omni", "Qwen2_5OmniThinkerTextModel", SECTIONS),
    "qwen3_omni_moe_talker_text": ("qwen3_omni_moe", "Qwen3OmniMoeTalkerModel",
                                   {**SECTIONS, "shared_expert_intermediate_size": 48}),
    "step3p5": ("step3p7", "Step3p7TextModel",
                {"layer_types": ["full_attention", *["sliding_attention"] * 5],
                 "num_sliding_attention_heads": 6, "share_expert_dim": 24}),
    "qwen3_omni_moe_text": ("qwen3_omni_moe", "Qwen3OmniMoeThinkerTextModel", SECTIONS),
}  # fmt: skip


@pytest.mark.parametrize("family", INNER)
def test_parts_of_wholes(family: str) -> None:
    folder, name, more = INNER[family]
    config = peers.inner_config(folder, family, **more)
    module = import_module(f"transformers.models.{folder}.modeling_{folder}")
    assert 4 * peers.in_full(config).parameters == peers.weights(getattr(module, name)(config))


@pytest.mark.parametrize("family", ["gemma4_assistant", "gemma4_unified_assistant"])
def test_an_assistant_keeps_nothing(family: str) -> None:
    kind = family.replace("assistant", "text")
    inputs = {"hidden_size_per_layer_input": 0, "vocab_size_per_layer_input": 0}
    part = {
        "model_type": kind, "hidden_size": 64, "num_hidden_layers": 6, "vocab_size": 320,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
        "intermediate_size": 96, "num_kv_shared_layers": 6,
    } | (inputs if kind == "gemma4_text" else {})  # fmt: skip
    config = peers.small_config(family, text_config=part, backbone_hidden_size=80)
    model = peers.in_full(config)
    assert 4 * model.parameters == peers.weights(peers.built(family, config))
    assert not peers.kept(model)


def test_the_table_of_usual_values_is_that_of_the_package() -> None:
    classes = dict(model_configs.config_classes())
    for family, found in json.loads(TABLE.read_text()).items():
        made = model_configs.usual_of(classes[family], set(found))
        assert json.loads(json.dumps(made)) == found
