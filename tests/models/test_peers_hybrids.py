"""Hybrids, latent attention and states: what is read of a config, held to transformers' modules.

Small models with random weights, in bfloat16, and what their caches hold after a prefill.
"""

import dataclasses
import importlib
import json
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import torch
from msgspec.structs import replace

from effattn_cli.architecture import BYTES, Kept
from effattn_cli.models.reading import understood
from tests.models import measurable

transformers = pytest.importorskip("transformers")
pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]

TOKENS = 40  # above every window, and whole blocks and entries
SMALL: dict[str, Any] = {
    "vocab_size": 96, "hidden_size": 64, "intermediate_size": 80, "num_hidden_layers": 6,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "sliding_window": 8,
    "moe_intermediate_size": 24, "num_experts": 4, "n_routed_experts": 4, "num_local_experts": 4,
    "num_experts_per_tok": 2, "n_group": 1, "topk_group": 1, "max_position_embeddings": 128,
    "shared_expert_intermediate_size": 32, "shared_intermediate_size": 32,
    "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8,
    "linear_value_head_dim": 16, "num_nextn_predict_layers": 0,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
MLA: dict[str, Any] = {
    "num_key_value_heads": 4, "kv_lora_rank": 24, "q_lora_rank": 20, "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 16, "v_head_dim": 12,
}  # fmt: skip
MIXED: dict[str, Any] = {**MLA, "first_k_dense_replace": 1}
INDEXED: dict[str, Any] = {
    **MLA, "index_head_dim": 16, "index_n_heads": 2, "index_topk": 8, "first_k_dense_replace": 1,
}  # fmt: skip
STATES: dict[str, Any] = {
    "mamba_n_heads": 8, "mamba_d_head": 16, "mamba_d_state": 12, "mamba_n_groups": 2,
    "mamba_chunk_size": 8,
}  # fmt: skip
V4: dict[str, Any] = {
    "num_key_value_heads": 1, "head_dim": 16, "q_lora_rank": 20, "o_groups": 2, "o_lora_rank": 12,
    "index_head_dim": 8, "index_n_heads": 2, "index_topk": 4, "hc_mult": 2,
    "compress_rates": {"compressed_sparse_attention": 4, "heavily_compressed_attention": 8},
    "layer_types": ["heavily_compressed_attention", "compressed_sparse_attention"] * 3,
    "partial_rotary_factor": 0.25,
}  # fmt: skip
ROTARY = {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.25}
#: By the module of transformers, and the names of the classes of config and model in it.
CASES: dict[str, dict[str, Any]] = {
    "deepseek_v2:DeepseekV2": MIXED,
    "deepseek_v3:DeepseekV3": MIXED,
    "deepseek_v32:DeepseekV32": {**INDEXED, "v_head_dim": 16},
    "deepseek_v4:DeepseekV4": V4,
    "axk1:AXK1": MIXED,
    "axk2:AXK2": {**INDEXED, "gated_norm_rank": 4},
    "glm4_moe_lite:Glm4MoeLite": MIXED,
    "glm_moe_dsa:GlmMoeDsa": {**INDEXED, "index_topk_freq": 2},
    "hy_v4:HYV4": {**INDEXED, "hc_mult": 2},
    "minicpm3:MiniCPM3": MLA,
    "mistral4:Mistral4": MIXED,
    "youtu:Youtu": MLA,
    "sarvam_mla:SarvamMLA:DeepseekV3": {**MIXED, "q_lora_rank": None},
    "kimi_linear:KimiLinear": {
        **MIXED, "q_lora_rank": None, "linear_num_heads": 4, "linear_head_dim": 16,
        "num_experts_per_token": 2,
    },
    "bailing_hybrid:BailingHybrid": {
        **MIXED, "q_lora_rank": None, "layer_group_size": 3, "num_experts_per_token": 2,
        "num_expert_group": 1,
    },
    "glm5_next:Glm5NextText": {
        **INDEXED, "qk_rope_head_dim": 0, "v_head_dim": 16, "index_kpool": 4, "hc_mult": 2,
        "linear_num_heads": 4, "linear_head_dim": 16,
        "indexer_types": ["full", "full", "shared"] * 2,
        "layer_types": ["linear_attention", *["indexed_attention"] * 3, *["linear_attention"] * 2],
    },
    "minimax:MiniMax": {"sliding_window": None},
    "minimax_m3_vl:MiniMaxM3VLText:MiniMaxM3VL": {
        "index_n_heads": 2, "index_head_dim": 16, "index_block_size": 8, "index_topk_blocks": 2,
        "dense_intermediate_size": 48, "rotary_dim": 8,
        "layer_types": ["full_attention", *["minimax_m3_sparse"] * 5],
        "mlp_layer_types": ["dense", *["sparse"] * 5],
    },
    "qwen3_next:Qwen3Next": {},
    "qwen3_5:Qwen3_5Text:Qwen3_5": {},
    "qwen3_5_moe:Qwen3_5MoeText:Qwen3_5Moe": {},
    "qwen4_exp:Qwen4ExpText:Qwen4Exp": {
        "indexer_budget": 16, "indexer_compress_ratio": 4, "indexer_head_dim": 8,
        "indexer_kv_heads": 1, "indexer_n_heads": 3, "hc_count": 2, "hc_lowrank": 6,
        "rope_parameters": ROTARY, "output_gate_type": "sigmoid",
    },
    "olmo_hybrid:OlmoHybrid": {"linear_num_key_heads": 4},
    "lara_mini:LaraMini": {},
    "mamba:Mamba": {"state_size": 12},
    "falcon_mamba:FalconMamba": {"time_step_rank": 5},
    "mamba2:Mamba2": {"num_heads": 8, "head_dim": 16, "state_size": 12, "n_groups": 2,
                      "chunk_size": 8, "use_bias": True},
    "falcon_h1:FalconH1": {**STATES, "mamba_d_ssm": 128, "mamba_rms_norm": True},
    "bamba:Bamba": {**STATES, "attn_layer_indices": [1, 4], "mamba_conv_bias": False},
    "jamba:Jamba": {"attn_layer_period": 3, "attn_layer_offset": 1, "mamba_d_state": 12,
                    "use_mamba_kernels": False},
    "granitemoehybrid:GraniteMoeHybrid": {
        **STATES, "layer_types": ["linear_attention", "full_attention"] * 3,
    },
    "nemotron_h:NemotronH": {
        "hybrid_override_pattern": "M-M*EM", "sliding_window": None, "mamba_num_heads": 8,
        "mamba_head_dim": 16,
        "ssm_state_size": 12, "n_groups": 2, "chunk_size": 8, "moe_latent_size": 16,
        "moe_shared_expert_intermediate_size": 28,
    },
    "lfm2:Lfm2": {"full_attn_idxs": [1, 4], "block_multiple_of": 16},
    "lfm2_moe:Lfm2Moe": {"layer_types": ["conv", "full_attention"] * 3, "conv_bias": True},
    "lfm3:Lfm3": {},
    "recurrent_gemma:RecurrentGemma": {"attention_window_size": 8},
    "xlstm:xLSTM": {"num_heads": 2, "hidden_size": 128, "chunk_size": 8},
    "zaya:Zaya": {"router_hidden_size": 12, "num_experts_per_tok": 1},
}  # fmt: skip


def made(case: str, given: dict[str, Any]) -> tuple[Any, Any]:
    """The config and the model, in bfloat16."""
    module, ours, *other = case.split(":")
    root = f"transformers.models.{module}"
    configs = importlib.import_module(f"{root}.configuration_{module}")
    kind = getattr(configs, f"{ours}Config")
    home = "deepseek_v3" if module == "sarvam_mla" else module
    models = importlib.import_module(f"transformers.models.{home}.modeling_{home}")
    known = {item.name for item in dataclasses.fields(kind)}
    small = {name: value for name, value in SMALL.items() if name in known}
    config = kind(**(small | given))
    config._attn_implementation = "eager"
    torch.manual_seed(0)
    name = (other or [ours])[0]
    model = getattr(models, f"{name}ForCausalLM", None) or getattr(models, f"{name}Model")
    return config, model(config).to(torch.bfloat16).eval()


def tensors(value: object, seen: set[int]) -> Iterator[torch.Tensor]:
    """All that is reached from a cache, once; keys that are values, too, count once."""
    place = value.untyped_storage().data_ptr() if isinstance(value, torch.Tensor) else id(value)
    if place in seen:
        return
    seen.add(place)
    if isinstance(value, torch.Tensor):
        if value.is_floating_point():
            yield value
        return
    for part in parts(value):
        yield from tensors(part, seen)


def parts(value: object) -> Iterable[object]:
    """What an object holds; of a config nothing."""
    if isinstance(value, dict):
        return value.values()
    if isinstance(value, list | tuple):
        return value
    return [] if isinstance(value, transformers.PreTrainedConfig) else getattr(
        value, "__dict__", {}
    ).values()  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_weights_are_those_of_the_module(case: str) -> None:
    config, model = made(case, CASES[case])
    read = understood(json.loads(config.to_json_string(use_diff=False)), case)
    model.tie_weights()
    assert read.parameters == sum(weight.numel() for weight in model.parameters())
    assert read.vocab == config.vocab_size
    saved = understood(json.loads(config.to_json_string(use_diff=True)), case)
    assert replace(saved, notes=()) == replace(read, notes=())
    assert measurable.layers(read)


@torch.no_grad()
@pytest.mark.parametrize("case", CASES)
def test_a_cache_holds_what_layers_keep(case: str) -> None:
    config, model = made(case, CASES[case])
    read = understood(json.loads(config.to_json_string(use_diff=False)), case)
    held = sum(x.nbytes for x in tensors(after_prefill(config, model), set()))
    taps = next((getattr(config, name) for name in TAPS if hasattr(config, name)), None)
    keeps = [(layer.mixer, kept) for layer in read.layers for kept in layer.keeps]
    assert sum(between_steps(mixer, kept, taps) for mixer, kept in keeps) == held


def after_prefill(config: Any, model: Any) -> object:
    """What the model keeps of the sequence."""
    given = torch.arange(3, 3 + TOKENS)[None]
    if config.model_type == "recurrent_gemma":  # keeps its states in its own modules
        cache = transformers.DynamicCache(config=config)
        model.model._setup_cache(config, 1, torch.device("cpu"), torch.bfloat16)
        model(given, use_cache=True, cache=cache)
        names = "conv1d_state", "recurrent_states"
        return cache, [vars(part).get(name) for part in model.modules() for name in names]
    out = model(given, use_cache=True)
    return next(out[name] for name in ("cache", "past_key_values", "cache_params") if name in out)


#: Whose states transformers holds in the model's type, and the released code in float32.
IN_ITS_TYPE = frozenset({"lightning", "mlstm"})
#: What families call the tokens that a short convolution sees, itself included.
TAPS = ("linear_conv_kernel_dim", "conv_kernel", "mamba_d_conv", "conv_L_cache")


def between_steps(mixer: Any, kept: Kept, taps: int | None) -> int:
    """Bytes that transformers holds for something that a layer keeps.

    `Kept` counts what a step reads and writes. Of a window that is the token of the step, too,
    which transformers does not hold between two steps; of a short convolution it is the tokens
    before, where transformers holds one more. While no entry is half done it holds nothing for the
    next one; where entries overlap, half of the last window's numbers. Keys of pools it makes anew
    of the keys and gates of all tokens, and of whether they are there.
    """
    if kept.what == "convolution state" and taps:
        return kept.bytes(TOKENS, "bfloat16") // (taps - 1) * taps
    if mixer.variant in IN_ITS_TYPE and kept.what == "recurrent state":
        return kept.numbers * BYTES["bfloat16"]
    if mixer.variant in {"hca", "dsa"} and kept.what == "recurrent state":
        return 0
    if mixer.variant == "dsa" and kept.what == "index keys" and kept.every != 1:
        return TOKENS * (2 * kept.numbers + 1) * BYTES["bfloat16"]
    if mixer.variant == "csa" and kept.what == "recurrent state":
        return kept.numbers // 2 * BYTES["bfloat16"]
    tokens = TOKENS if kept.max_tokens is None else min(TOKENS, kept.max_tokens - 1)
    return kept.bytes(tokens, "bfloat16")
