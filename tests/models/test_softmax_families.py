"""Models with softmax attention, by the dims of those that are deployed."""

from pathlib import Path

import pytest

from effattn_cli.architecture import Model
from effattn_cli.models.reading import read, understood
from tests.models.mixers import measurable

CONFIGS = Path(__file__).parent / "configs"
LONG = 32_768


def model(name: str) -> Model:
    return read(CONFIGS / f"{name}.json")


def cache(of: Model, tokens: int = LONG) -> int:
    """Bytes in bfloat16."""
    return sum(kept.bytes(tokens, "bfloat16") for layer in of.layers for kept in layer.keeps)


def test_llama_3_8b() -> None:
    # A layer: q and o 4096 x 4096 each, k and v 4096 x 1024 each, 3 x 4096 x 14336, 2 norms:
    #   33,554,432 + 8,388,608 + 176,160,768 + 8,192 = 218,112,000
    # 32 of them, embedding and head 128256 x 4096 each, a norm: 8,030,261,248, as published.
    # The cache: 32 layers x 2 x 8 heads x 128 x 2 bytes = 128 KiB a token, 4 GiB at 32k.
    found = model("llama-3-8b")
    assert found.parameters == 8_030_261_248
    assert cache(found) == 4 << 30
    assert found.context == 131_072


def test_gpt_oss_20b() -> None:
    # Attention: q 2880 x 4096 + 4096, k and v each 2880 x 512 + 512, o 4096 x 2880 + 2880,
    # 64 sinks:
    #   11,800,576 + 2,950,144 + 11,799,360 + 64 = 26,550,144
    # Experts: 32 x (2880 x 5760 + 5760 + 2880 x 2880 + 2880) = 32 x 24,891,840 = 796,538,880,
    #   and a router 2880 x 32 + 32 = 92,192
    # 24 layers with 2 norms, twice 201088 x 2880, a norm:
    #   24 x (26,550,144 + 796,538,880 + 92,192 + 5,760) + 1,158,266,880 + 2,880 = 20,914,757,184
    # The cache: 12 full layers x 2 x 8 x 64 x 2 bytes x 32768 + 12 of 128 tokens.
    found = model("gpt-oss-20b")
    assert found.parameters == 20_914_757_184
    assert cache(found) == 12 * 2048 * (LONG + 128)
    full, sliding = found.layers[1].mixer, found.layers[0].mixer
    assert full is not None
    assert (full.variant, full.options) == ("gqa", {"sinks": True, "rotary": 1})
    assert sliding is not None
    assert sliding.options == {"window": 128, "sinks": "learned", "rotary": 1}


def test_a_token_meets_its_experts_only() -> None:
    # Mixtral: an expert is 3 x 4096 x 14336 = 176,160,768; the router 4096 x 8 = 32,768.
    # Two of eight a token; sixteen tokens may meet all.
    feed = model("mixtral-8x7b").layers[0].feed
    assert feed is not None
    assert feed.parameters == 8 * 176_160_768 + 32_768
    assert feed.active == 2 * 176_160_768 + 32_768
    assert feed.read(16) == feed.parameters
    assert model("mixtral-8x7b").parameters == 46_702_792_704  # as published: 46.7 billion


def test_keys_and_values_of_one_projection_are_cached_both() -> None:
    # Gemma 4: 25 window layers of 8 kv heads x 256, 5 full ones of 2 kv heads x 512, which have one
    # projection for keys and values; both are kept:
    #   25 x 2 x 8 x 256 x 2 bytes x 1024 + 5 x 2 x 2 x 512 x 2 bytes x 32768
    # A full layer's attention: q and o 2816 x 8192 each, k 2816 x 1024, norms 2 x 512.
    found = model("gemma-4-26b")
    assert cache(found) == 25 * 8192 * 1024 + 5 * 4096 * LONG
    full = found.layers[5].mixer
    assert full is not None
    assert full.kind == "full_attention"
    assert full.parameters == 2 * 2816 * 8192 + 2816 * 1024 + 1024
    # The dense half stands beside the experts: a token meets it, the router with its two scales,
    # and 8 of 128.
    feed = found.layers[0].feed
    assert feed is not None
    assert feed.always == 3 * 2816 * 2112 + 2816 * 128 + 2816 + 128
    assert feed.active == feed.always + 8 * 3 * 2816 * 704


def test_window_layers_with_widths_of_their_own() -> None:
    # MiMo-V2-Flash: 39 window layers of 8 kv heads, 9 full ones of 4; keys 192 wide, values 128; a
    # window of 128 tokens and the query's own. A chunk size that no layer has is of no effect.
    found = model("mimo-v2-flash")
    kinds = [layer.mixer.kind for layer in found.layers if layer.mixer is not None]
    assert kinds.count("full_attention") == 9
    assert cache(found) == 39 * 8 * 320 * 2 * 129 + 9 * 4 * 320 * 2 * LONG
    assert found.layers[0].feed is not None
    assert not found.layers[0].feed.experts


def test_chatglm_has_groups_of_queries() -> None:
    # A layer: 4096 x (4096 + 512) + 4608, 4096 x 4096, 3 x 4096 x 13696, 2 norms = 203,960,832.
    # 28 of them, twice 65024 x 4096, a norm: 6,243,584,000, as published.
    found = model("chatglm3-6b")
    assert found.parameters == 6_243_584_000
    assert cache(found) == 28 * 2 * 2 * 128 * 2 * LONG
    assert (found.context, found.dtype) == (8192, "float16")


def test_the_params_of_llama_say_the_same_as_its_config() -> None:
    theirs, own = model("llama-3-8b"), model("llama-3-8b.params")
    assert own.layers == theirs.layers
    assert own.parameters == theirs.parameters


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.json")), ids=lambda path: path.stem)
def test_each_mixer_can_be_measured(path: Path) -> None:
    found = read(path)
    for mixer in {layer.mixer for layer in found.layers if layer.mixer is not None}:
        assert measurable(found, mixer) > 0


def test_a_window_layer_that_shares_a_cache_has_its_window() -> None:
    kinds = [*["sliding_attention"] * 4, "full_attention"] * 2
    small = understood(
        {
            "model_type": "gemma3n_text", "hidden_size": 64, "intermediate_size": 96,
            "num_hidden_layers": 10, "num_attention_heads": 4, "num_key_value_heads": 2,
            "head_dim": 16, "vocab_size": 100, "num_kv_shared_layers": 5, "sliding_window": 32,
            "layer_types": kinds, "vocab_size_per_layer_input": 100,
            "hidden_size_per_layer_input": 8, "max_position_embeddings": 512,
        },
        "small",
    )  # fmt: skip
    shared = [layer.mixer for layer in small.layers[5:] if layer.mixer is not None]
    assert [mixer.variant for mixer in shared] == ["kv-sharing"] * 5
    assert [dict(mixer.options) for mixer in shared] == [{"window": 32}] * 4 + [{}]
    assert all(measurable(small, mixer) for mixer in shared)
