"""Hybrids, latent attention and states by configs with the widths of real models.

`configs/*.json` are written by hand and hold the keys that matter, as the released files do. What
is expected is worked out here from the definitions, in whole numbers, and by no code of effattn.

State and cache are those of a published engine or paper, as the comments say. The source "aic" is
the memory model of ai-dynamo/aiconfigurator (aic-core/src/aiconfigurator_core/sdk/models, snapshot
095f58a, function get_kvcache_bytes_per_sequence of each family, on one device).
"""

import json
from pathlib import Path

import msgspec
import pytest

from effattn_cli.architecture import Model
from effattn_cli.errors import UsageError
from effattn_cli.models.families import FAMILIES
from effattn_cli.models.families.refused import REFUSED
from effattn_cli.models.reading import read, understood
from tests.models import measurable

CONFIGS = Path(__file__).parent / "configs"
N = 32_768  # tokens; a multiple of every ratio
MLA = 512 + 64  # numbers of a latent row: the latent, and the part that has a position
#: Bytes in bfloat16 after N tokens, by what is kept.
KEPT: dict[str, dict[str, int]] = {
    # aic base.py: layers x (kv_lora_rank + qk_rope_head_dim), of two bytes.
    "deepseek-v3": {"kv cache": 61 * N * MLA * 2},
    # aic deepseek_v32.py: the same, and an index key of 128 numbers in each layer, which it keeps
    # in 8 bits with a scale of 4 bytes; here it is of the cache's two bytes, as in transformers.
    "deepseek-v3.2": {"kv cache": 61 * N * MLA * 2, "index keys": 61 * N * 128 * 2},
    # The same of 78 layers. An index serves four layers (IndexCache, arXiv:2603.12201): with the
    # usual offset of 2 layer i has its own if max(i - 1, 0) is a multiple of 4: 0, 1, 5, 9, ... 77.
    "glm-5.2": {"kv cache": 78 * N * MLA * 2, "index keys": 21 * N * 128 * 2},
    # aic deepseek_v4.py: of 43 layers 2 have a window alone, 21 entries of 4 tokens, 20 of 128.
    # Each has a window of 128 rows of 512; entries of 512; half-done entries, in float32: 2 x ratio
    # x (2 where they overlap) x 512. With entries of 4 come index entries of 128 numbers, and
    # theirs half done. The index entries are of 4 bits there, and of two bytes here.
    "deepseek-v4-flash": {
        "kv cache": 43 * 128 * 512 * 2 + (21 * N // 4 + 20 * N // 128) * 512 * 2,
        "recurrent state": (21 * 2 * 4 * 2 * (512 + 128) + 20 * 2 * 128 * 512) * 4,
        "index keys": 21 * N // 4 * 128 * 2,
    },
    # Hv dk dv in float32 and 3 x (2 Hk dk + Hv dv): 2 MiB and 48 KiB in 36 layers; 12 of attention
    # with 2 kv heads of 256 (Qwen3-Next; arXiv:2412.06464 for the state).
    "qwen3-next-80b-a3b": {
        "kv cache": 12 * N * 2 * 2 * 256 * 2,
        "recurrent state": 36 * 2 * 2**20,
        "convolution state": 36 * 48 * 2**10,
    },
    # aic qwen35.py: 48 layers with nv hk hv in float32 and (2 nk hk + nv hv) x (kernel - 1) of two
    # bytes; 16 of attention with 4 kv heads of 256.
    "qwen3.5-27b": {
        "kv cache": 16 * N * 2 * 4 * 256 * 2,
        "recurrent state": 48 * 48 * 128 * 128 * 4,
        "convolution state": 48 * (2 * 16 * 128 + 48 * 128) * 3 * 2,
    },
    # aic kimi_k3.py, with Kimi Linear's widths: 20 layers with H K K in float32 and
    # (kernel - 1) x 3 x H x K of two bytes; 7 with a latent row.
    "kimi-linear-48b-a3b": {
        "kv cache": 7 * N * MLA * 2,
        "recurrent state": 20 * 32 * 128 * 128 * 4,
        "convolution state": 20 * 3 * 3 * 32 * 128 * 2,
    },
    # H P N in float32 and 3 x (H P + 2 G N): 2 MiB in 23 layers (arXiv:2405.21060); aic base.py for
    # the 6 of attention, with 2 kv heads of 128.
    "nemotron-3-nano-30b-a3b": {
        "kv cache": 6 * N * 2 * 2 * 128 * 2,
        "recurrent state": 23 * 2 * 2**20,
        "convolution state": 23 * 3 * (64 * 64 + 2 * 8 * 128) * 2,
    },
    # H d d in float32: 4 MiB in 70 layers (arXiv:2501.08313); 10 of attention with 8 kv heads.
    "minimax-text-01": {
        "kv cache": 10 * N * 2 * 8 * 128 * 2,
        "recurrent state": 70 * 4 * 2**20,
    },
    # aic base.py for 60 layers with 4 kv heads of 128; 57 have an index key of 128 numbers a token,
    # one for all index heads (arXiv:2606.13392).
    "minimax-m3": {"kv cache": 60 * N * 2 * 4 * 128 * 2, "index keys": 57 * N * 128 * 2},
    # (L - 1) D in 10 layers (arXiv:2511.23404); 6 of attention with 8 kv heads of 64.
    "lfm2-1.2b": {"kv cache": 6 * N * 2 * 8 * 64 * 2, "convolution state": 10 * 2 * 2048 * 2},
    # 2 D x 16 in float32 and 3 x 2 D (arXiv:2312.00752).
    "mamba-2.8b": {
        "recurrent state": 64 * 5120 * 16 * 4,
        "convolution state": 64 * 3 * 5120 * 2,
    },
    # D in float32 and 3 D in 18 layers (arXiv:2402.19427); 8 with a window of 2048 tokens, and one
    # kv head of 256.
    "recurrentgemma-2b": {
        "kv cache": 8 * 2048 * 2 * 256 * 2,
        "recurrent state": 18 * 2560 * 4,
        "convolution state": 18 * 3 * 2560 * 2,
    },
    # H (dk dv + dk + 1) in float32 (arXiv:2405.04517).
    "xlstm-7b": {"recurrent state": 32 * 8 * (256 * 512 + 256 + 1) * 4},
    # 2 kv heads of 128; q and k of two tokens, and half of the values of one (arXiv:2510.04476).
    "zaya1-8b": {
        "kv cache": 40 * N * 2 * 2 * 128 * 2,
        "convolution state": 40 * (2 * (8 + 2) * 128 + 128) * 2,
    },
}


def the(name: str) -> Model:
    return read(CONFIGS / f"{name}.json")


@pytest.mark.parametrize("name", KEPT)
def test_a_sequence_keeps_what_a_published_engine_says(name: str) -> None:
    found: dict[str, int] = {}
    for kept in (kept for layer in the(name).layers for kept in layer.keeps):
        found[kept.what] = found.get(kept.what, 0) + kept.bytes(N, "bfloat16")
    assert found == KEPT[name]


def gated(dim: int, width: int) -> int:
    """Three matrices."""
    return 3 * dim * width


#: Of one layer of latent attention of DeepSeek-V3: two matrices and a norm for queries, the row and
#: its norm, keys of 128 and values of 128 of 128 heads, and the output.
V3_MLA = (
    7168 * 1536 + 1536 + 1536 * 128 * 192 + 7168 * 576 + 512 + 512 * 128 * 256 + 128 * 128 * 7168
)
V3_EXPERTS = 257 * gated(7168, 2048) + 7168 * 256
#: Gated DeltaNet of Qwen3-Next: q, k, v, the gate and the output; decay and its two numbers, beta;
#: the convolution; the norm.
NEXT_DELTA = (
    2048 * (2 * 2048 + 3 * 4096) + 2 * 2048 * 32 + 2 * 32 + 4 * (2 * 2048 + 4096) + 128
)  # fmt: skip
NEXT_FULL = 2048 * (3 * 4096 + 2 * 512) + 2 * 256
NEXT_EXPERTS = 513 * gated(2048, 512) + 2048 * 512 + 2048
#: Kimi Delta Attention: q, k, v and the output; beta; decay and gate by way of 128 numbers, the
#: decay's own numbers; the convolution; the norm.
KDA = 4 * 2304 * 4096 + 2304 * 32 + 2 * 128 * (2304 + 4096) + 32 + 4096 + 4 * 3 * 4096 + 128
KIMI_MLA = 2304 * 32 * 192 + 2304 * 576 + 512 + 512 * 32 * 256 + 32 * 128 * 2304
KIMI_EXPERTS = 257 * gated(2304, 1024) + 2304 * 256
#: Mamba-2 of Nemotron: gate, x, B, C and steps; the convolution with biases; three numbers a head;
#: the norm; the output.
NANO_SSM = (
    2688 * (2 * 4096 + 2 * 1024 + 64) + 5 * (4096 + 2 * 1024) + 3 * 64 + 4096 + 4096 * 2688
)  # fmt: skip
#: Experts of two matrices, and a shared one twice as wide; the router.
NANO_EXPERTS = 128 * 2 * 2688 * 1856 + 2 * 2688 * 3712 + 2688 * 128
NANO_FULL = 2688 * 128 * (2 * 32 + 2 * 2)
#: Mamba: two matrices in and one out; the convolution with biases; steps by way of 160 numbers,
#: with biases; A of 16 numbers, and D.
MAMBA = 3 * 2560 * 5120 + 5 * 5120 + 5120 * (160 + 2 * 16) + 161 * 5120 + 17 * 5120
PARAMETERS: dict[str, int] = {
    "deepseek-v3": 2 * 129_280 * 7168 + 7168 + 61 * (2 * 7168 + V3_MLA)
    + 3 * gated(7168, 18_432) + 58 * V3_EXPERTS,
    "qwen3-next-80b-a3b": 2 * 151_936 * 2048 + 2048 + 48 * (2 * 2048 + NEXT_EXPERTS)
    + 36 * NEXT_DELTA + 12 * NEXT_FULL,
    "kimi-linear-48b-a3b": 2 * 163_840 * 2304 + 2304 + 27 * 2 * 2304 + 20 * KDA + 7 * KIMI_MLA
    + gated(2304, 9216) + 26 * KIMI_EXPERTS,
    "nemotron-3-nano-30b-a3b": 2 * 131_072 * 2688 + 2688 + 52 * 2688 + 23 * NANO_SSM
    + 23 * NANO_EXPERTS + 6 * NANO_FULL,
    # The vocabulary of 50277 is rounded up to a multiple of 8, and the head is the embedding.
    "mamba-2.8b": 50_280 * 2560 + 2560 + 64 * (2560 + MAMBA),
    # A feed-forward of 2/3 of 12288 units; norms of q and k of 64 numbers; three matrices in, one
    # out, and three taps.
    "lfm2-1.2b": 65_536 * 2048 + 2048 + 16 * (2 * 2048 + gated(2048, 8192))
    + 6 * (2048 * (2 * 2048 + 2 * 512) + 2 * 64) + 10 * (4 * 2048 * 2048 + 3 * 2048),
}  # fmt: skip


@pytest.mark.parametrize("name", PARAMETERS)
def test_weights_follow_from_the_definition(name: str) -> None:
    assert the(name).parameters == PARAMETERS[name]


def test_a_model_of_many_layers_has_few_that_differ() -> None:
    kinds = {layer.mixer.kind for layer in the("qwen3-next-80b-a3b").distinct() if layer.mixer}
    assert kinds == {"linear_attention", "full_attention"}
    assert list(the("qwen3-next-80b-a3b").distinct().values()) == [36, 12]
    assert sorted(the("minimax-text-01").distinct().values()) == [10, 70]


@pytest.mark.parametrize(
    "path", [CONFIGS / f"{name}.json" for name in KEPT], ids=lambda path: path.stem
)
def test_every_mixer_can_be_measured(path: Path) -> None:
    model = read(path)
    assert 1 <= len(measurable.layers(model)) <= 3


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"layer_types": ["linear_attention"] * 47}, "47 kinds for 48 layers"),
        ({"layer_types": ["conv"] * 48}, "'conv' is not one of the family's"),
        ({"linear_num_value_heads": 33}, "16 key heads do not divide it"),
        ({"attn_output_gate": False}, "the family's attention has a gate"),
        ({"mlp_layer_types": ["dense"] * 48}, "is not understood of the family"),
        ({"sliding_window": 512}, "is not understood of the family"),
    ],
)
def test_a_value_that_is_not_covered_is_refused(change: dict[str, object], why: str) -> None:
    data = json.loads((CONFIGS / "qwen3-next-80b-a3b.json").read_text())
    with pytest.raises(UsageError, match=why):
        understood(data | change, "config.json")


def test_a_mechanism_that_the_catalogue_lacks_is_refused() -> None:
    assert not set(REFUSED) & set(FAMILIES)
    for family in ("rwkv", "zamba2", "inkling_text", "dots3_note_text"):
        with pytest.raises(UsageError, match=f"{family} is not read: its") as refused:
            understood({"model_type": family}, "config.json")
        assert refused.value.hint is not None
        assert "--layers" in refused.value.hint


STRANGE: list[object] = [None, -1, "x", [[]], {"a": 1}, True, 1e30]
LISTS = ("layer_types", "mlp_layer_types", "indexer_types", "moe_layer_freq", "no_rope_layers")


@pytest.mark.parametrize(
    "path", [CONFIGS / f"{name}.json" for name in KEPT], ids=lambda path: path.stem
)
def test_whatever_stands_in_a_key_is_read_or_refused_in_a_line(path: Path) -> None:
    data = json.loads(path.read_text())
    inner = {name: value for name, value in data.items() if isinstance(value, dict)}
    for key in (*data, *LISTS):
        for value in STRANGE:
            told_or_read(data | {key: value})
    for name, part in inner.items():
        for key in part:
            for value in STRANGE:
                told_or_read(data | {name: part | {key: value}})


def told_or_read(data: dict[str, object]) -> None:
    """Every number of a model that is read has the range of its type."""
    try:
        model = understood(data, "config.json")
    except UsageError as error:
        told = str(error)
    else:
        assert msgspec.convert(msgspec.to_builtins(model), Model) == model
        return
    assert told.startswith("config.json: ")
    assert "\n" not in told
