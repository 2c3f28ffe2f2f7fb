"""The formulas of mixers, held to the variants' own modules."""

from typing import Any

import pytest
import torch

from effattn_cli import catalog
from effattn_cli.attention.decodable import tensors_of
from effattn_cli.errors import UsageError
from effattn_cli.models.mixers import FORMULAS, named

TOKENS = 256  # a multiple of every block and ratio below, and at least as many as every window
#: (dim, heads, kv heads, width of a head)
WIDTHS = [(64, 8, None, None), (96, 4, 2, 32), (48, 6, 6, 16)]
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "sdpa": [{"qk_norm": True}],
    "gqa": [{"sinks": True}, {"qk_norm": True, "rotary": 0.5}, {"k_eq_v": True}],
    "sliding-window": [
        {"window": 64, "sinks": "first"},
        {"window": 128, "sinks": "learned"},
        {"gate": "element"},
        {"gate": "softplus"},
    ],
    "chunked": [{"chunk": 64}],
    "gated-attention": [{"gate": "head", "qk_norm": True}, {"gate": "softplus"}],
    "differential": [{"version": 2}],
    "gated-deltanet": [{"key_heads": 2}, {"value_width": 24, "conv": 0}, {"conv": 7}],
    "deltanet": [{"conv": 2}],
    "kda": [{"key_heads": 2}, {"full_rank": "gate"}, {"full_rank": "both", "lowest": -5.0}],
    "gdn2": [{"key_heads": 2, "value_width": 24}],
    "mamba2": [{"state": 64, "groups": 2}, {"conv": 0}],
    "mamba": [{"state": 8, "dt_rank": 5}, {"normed": True}],
    "mamba3": [{"state": 32, "groups": 2}, {"rank": 4, "turned": 1.0}],
    "gla": [{"key_width": 12, "rank": 4}],
    "retnet": [{"value_width": 10}],
    "lightning": [{"depth": 0.5}],
    "rwkv7": [{"decay_rank": 4, "rate_rank": 5, "gate_rank": 6}],
    "mlstm": [{"key_width": 1.0}],
    "rg-lru": [{"conv": 7}],
    "short-conv": [{"taps": 7, "bias": True}],
    "mla": [
        {"latent": 32, "rope": 8},
        {"latent": 32, "rope": 0, "nope": 12, "value": 20, "query_rank": 24, "turn": False},
    ],
    "dsa": [
        {"top": 32, "index_heads": 2, "index_width": 16},
        {"over": "mla", "latent": 32, "rope": 8},
        {"over": "mla", "latent": 32, "rope": 8, "shared": True},
        {"top": 32, "index_width": 16, "pool": 8},
    ],
    "block-indexed": [{"block": 32, "top": 2}, {"pool": "mean", "index_heads": 5, "block": 32}],
    "moba": [{"block": 32, "top": 2}],
    "based": [{"feature_dim": 8}],
    "hca": [{"ratio": 32, "window": 64}, {"query_rank": 24, "out_groups": 2, "out_rank": 12}],
    "csa": [{"top": 8, "rope": 4, "index_width": 8, "query_rank": 24, "out_groups": 2}],
}
CASES = [(name, options) for name in FORMULAS for options in ({}, *OPTIONS.get(name, []))]


def built(name: str, options: dict[str, Any], widths: tuple[Any, ...], dtype: Any) -> Any:
    """The variant's own causal layer, on no device."""
    dim, heads, kv_heads, head_dim = widths
    shape = {"dim": dim, "heads": heads, "kv_heads": kv_heads, "head_dim": head_dim}
    variant: Any = catalog.load(name)
    with torch.device("meta"):
        layer = variant(variant.Config(tokens=TOKENS, causal=True, **shape, **options))
    return layer.to(dtype)


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
@pytest.mark.parametrize("widths", WIDTHS, ids=str)
def test_a_mixer_has_the_weights_and_the_state_of_its_layer(
    name: str, options: dict[str, Any], widths: tuple[Any, ...]
) -> None:
    layer = built(name, options, widths, torch.bfloat16)
    mixer = named(name, options, *widths)
    # What is saved: an index's weights are buffers, which learn by a loss of their own.
    assert mixer.parameters == sum(x.numel() for x in layer.state_dict().values())
    assert (mixer.heads, mixer.kv_heads) == (layer.heads, layer.kv_heads)
    assert mixer.head_dim == layer.head_dim
    with torch.device("meta"):  # the last step fills the room: TOKENS in all
        held = sum(x.nbytes for x in tensors_of(layer.init_state(1, TOKENS - 1)))
    assert sum(kept.bytes(TOKENS, "bfloat16") for kept in mixer.keeps) == held


def test_a_variant_without_a_formula_is_refused_with_those_that_have_one() -> None:
    with pytest.raises(UsageError, match="no formula for the weights of 'reformer'") as refused:
        named("reformer", {}, 64, 8)
    assert refused.value.hint is not None
    assert "gated-deltanet" in refused.value.hint
    with pytest.raises(UsageError, match="unknown variant 'gated-deltanett'") as refused:
        named("gated-deltanett", {}, 64, 8)
    assert refused.value.hint == "did you mean 'gated-deltanet'?"


def test_an_option_that_is_not_there_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="unknown option of kda 'key_head'") as refused:
        named("kda", {"key_head": 2}, 64, 8)
    assert refused.value.hint == "did you mean 'key_heads'?"


def test_widths_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(UsageError, match="8 heads are not a multiple of 3 kv heads"):
        named("gqa", {}, 64, 8, 3)
    with pytest.raises(UsageError, match="dim 60 is not a multiple of 8 heads"):
        named("kda", {}, 60, 8)
