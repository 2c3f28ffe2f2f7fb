"""What is read of a config, what is refused, and what is said of keys that are left out."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from effattn_cli.errors import UsageError
from effattn_cli.models.families import FAMILIES
from effattn_cli.models.families.refused import REFUSED
from effattn_cli.models.keys import Keys
from effattn_cli.models.reading import read, understood

LLAMA: dict[str, Any] = {
    "model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 8,
    "num_key_value_heads": 2, "intermediate_size": 96, "vocab_size": 100,
    "max_position_embeddings": 128, "hidden_act": "silu", "tie_word_embeddings": False,
}  # fmt: skip


def refused(**keys: Any) -> str:
    """Why a config that differs by these keys is not read."""
    with pytest.raises(UsageError) as caught:
        understood(LLAMA | keys, "config.json")
    return str(caught.value)


def test_what_is_left_out_is_taken_as_the_class_has_it_and_said() -> None:
    # Mistral's class takes 8 kv heads where a config says nothing, not as many as heads.
    model = understood({"model_type": "mistral", "num_attention_heads": 32}, "config.json")
    mixer = model.layers[0].mixer
    assert mixer is not None
    assert (mixer.kv_heads, mixer.options) == (8, {"window": 4096, "rotary": 1})
    assert any("num_key_value_heads 8" in note for note in model.notes)


def test_null_is_no_key_that_is_left_out() -> None:
    keys = {"num_attention_heads": 32, "num_key_value_heads": None, "sliding_window": None}
    model = understood({"model_type": "mistral", **keys}, "config.json")
    mixer = model.layers[0].mixer
    assert mixer is not None
    assert (mixer.kv_heads, mixer.options) == (32, {"rotary": 1})


def test_a_full_config_has_no_notes() -> None:
    assert understood(LLAMA, "config.json").notes == ()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("kv_lora_rank", 512),
        ("sliding_window", 128),
        ("layer_types", ["full_attention", "linear_attention"]),
        ("layers_block_type", ["attention", "mamba"]),
        ("linear_num_value_heads", 4),
        ("multi_query_group_num", 2),
        ("use_bias", True),
        ("qk_layernorm", True),
        ("num_kv_shared_layers", 1),
        ("attention_k_eq_v", True),
        ("parallel_attn", True),
    ],
)
def test_a_key_that_speaks_of_layers_is_not_overlooked(key: str, value: Any) -> None:
    assert f"{key} = {value!r}" in refused(**{key: value})


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("layer_types", ["full_attention", "mamba"], "the family has full attention only"),
        ("num_attention_heads", 7, "7 heads are not a multiple"),
        ("hidden_size", "wide", "expected a positive whole number, got wide"),
        ("tie_word_embeddings", "yes", "expected true or false"),
        ("model_type", "lama", "unknown model_type 'lama'"),
        ("model_type", None, "model_type"),
    ],
)
def test_wrong_values_are_named(key: str, value: Any, why: str) -> None:
    assert why in refused(**{key: value})


def test_the_nearest_family_is_named() -> None:
    with pytest.raises(UsageError) as caught:
        understood(LLAMA | {"model_type": "lama"}, "config.json")
    assert caught.value.hint == "did you mean 'llama'?"


@pytest.mark.parametrize(
    ("kinds", "why"),
    [(["full_attention"], "1 kinds for 2 layers"), (["full_attention", "mamba"], "'mamba' is not")],
)
def test_a_layout_is_one_that_the_family_has(kinds: list[str], why: str) -> None:
    assert why in refused(model_type="qwen2", use_sliding_window=False, layer_types=kinds)


@pytest.mark.parametrize("family", REFUSED)
def test_a_family_that_is_not_read_says_why(family: str) -> None:
    assert REFUSED[family] in refused(model_type=family)
    assert family not in FAMILIES


def test_llama_2_leaves_its_vocabulary_to_the_tokenizer() -> None:
    params = {"dim": 64, "n_layers": 2, "n_heads": 4, "multiple_of": 32, "vocab_size": -1}
    with pytest.raises(UsageError, match="vocab_size = -1: its tokenizer says it"):
        understood(params, "params.json")


def test_strange_keys_of_params_are_refused() -> None:
    params = {"dim": 64, "n_layers": 2, "n_heads": 4, "multiple_of": 32, "vocab_size": 100}
    with pytest.raises(UsageError, match="vision_chunk_size = 448"):
        understood({**params, "vision_chunk_size": 448}, "params.json")


def test_the_params_of_mistral_say_the_width_and_the_experts() -> None:
    params = {
        "dim": 64, "n_layers": 2, "n_heads": 4, "n_kv_heads": 2, "head_dim": 32, "hidden_dim": 96,
        "vocab_size": 100, "moe": {"num_experts": 4, "num_experts_per_tok": 2},
    }  # fmt: skip
    feed = understood(params, "params.json").layers[0].feed
    assert feed is not None
    assert (feed.width, feed.experts, feed.chosen) == (96, 4, 2)


def test_a_folder_may_have_params_in_place_of_a_config(tmp_path: Path) -> None:
    params = {"dim": 64, "n_layers": 2, "n_heads": 4, "multiple_of": 32, "vocab_size": 100}
    (tmp_path / "params.json").write_text(json.dumps(params))
    assert read(tmp_path).dim == 64
    (tmp_path / "config.json").write_text(json.dumps(LLAMA | {"hidden_size": 128}))
    assert read(tmp_path).dim == 128


def test_a_large_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA | {"suppressed": list(range(500_000))}))
    assert (tmp_path / "config.json").stat().st_size > 3 << 20
    assert read(tmp_path).name == tmp_path.name


def test_keys_remember_what_they_were_asked_for() -> None:
    keys = Keys({"a": 1, "part": {"b": 2}}, "config.json", {"c": 3})
    assert keys.count("a") == 1
    assert keys.part("part").count("b") == 2
    assert keys.count("c") == 3
    assert keys.asked == {"a", "b", "c", "part"}
    assert keys.taken == {"c": 3}


OWN: dict[str, Any] = {
    "vocab_size": 100, "hidden_size": 64, "intermediate_size": 32, "num_hidden_layers": 4,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
}  # fmt: skip


def own(**keys: Any) -> list[str]:
    """The kinds of the layers of a config as its makers wrote it, not as transformers does."""
    model = understood(OWN | keys, "config.json")
    return [layer.mixer.kind.removesuffix("_attention") for layer in model.layers if layer.mixer]


def test_keys_of_the_makers_own_files_are_known() -> None:
    every = ["sliding", "sliding", "sliding", "full"]
    assert own(model_type="exaone4", sliding_window=8, sliding_window_pattern="LLLG") == every
    assert own(model_type="cohere2", layer_switch=4, use_gated_activation=True) == every
    assert own(model_type="gpt_oss", experts_per_token=2) == ["sliding", "full"] * 2
    hunyuan = {"moe_topk": [2] * 4, "num_experts": 4, "num_shared_expert": [1] * 4}
    assert own(model_type="hunyuan_v1_moe", moe_intermediate_size=[32] * 4, **hunyuan)
    assert own(model_type="minimax_m2", attn_type_list=[1] * 4, use_mtp=True, num_mtp_modules=3,
               mtp_transformer_layers=1, use_qk_norm=True, qk_norm_type="per_layer")  # fmt: skip
    assert own(model_type="dots1", n_routed_experts=4, num_experts_per_tok=2, moe_layer_freq=1)
    assert own(model_type="bloom", offset_alibi=100, n_layer=4)


@pytest.mark.parametrize(
    ("family", "keys"),
    [
        ("exaone4", {"sliding_window_pattern": "LLXG"}),
        ("cohere2", {"use_gated_activation": False}),
        ("hunyuan_v1_moe", {"moe_topk": [1, 2, 1, 1]}),
        ("hunyuan_v1_moe", {"moe_intermediate_size": [16] * 4}),
        ("minimax_m2", {"attn_type_list": [0, 1, 1, 1]}),
        ("dots1", {"n_routed_experts": 4, "num_experts_per_tok": 2, "moe_layer_freq": 2}),
        ("llama", {"attention": {"kv_lora_rank": 8}}),
        ("llama", {"vision_config": {"hidden_size": 64}}),
        ("mpt", {"attn_config": {"kv_n_heads": 2}}),
    ],
)
def test_values_that_a_family_does_not_have_are_refused(family: str, keys: dict[str, Any]) -> None:
    last = next(reversed(keys))
    inner = next(iter(keys[last])) if isinstance(keys[last], dict) else last
    with pytest.raises(UsageError, match=f"{last}|{inner}"):
        understood(OWN | {"model_type": family} | keys, "config.json")


ODD: list[Any] = [
    None, True, 0, -1, 2**40, 1.5, float("nan"), "", "x", [], [1], ["x"], [None], [{}] * 4, {},
    {"a": 1}, {"x": {}}, {"1": {"head_dim": "y"}}, [[["global"], 2]], [1, 2, 3, 4],
    ["full_attention"] * 4,
]  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_odd_values_are_read_or_refused(family: str) -> None:
    widths = OWN | {"model_type": family, "num_experts": 4, "num_experts_per_tok": 2}
    for key in ("num_hidden_layers", "layer_types", "mlp_layer_types", "intermediate_size",
                "per_layer_config", "sliding_window", "num_key_value_heads", "head_dim",
                "num_attention_heads_per_layer", "attention_types", "moe_layers", "attn_config",
                "num_nextn_predict_layers"):  # fmt: skip
        for value in ODD:
            with suppress(UsageError):
                understood(widths | {key: value}, "config.json")
