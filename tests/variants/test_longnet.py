from typing import Any

import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.attention import Decodable
from effattn_cli.errors import Unsupported
from effattn_cli.laws.growth import state_bytes
from effattn_cli.parts import fused
from tests.decoding import equals_the_forward
from tests.equality import equals_its_reference, mean_error
from tests.references.longnet import meetings, reference
from tests.references.sdpa import reference as exact

LongNet = catalog.load("longnet")


def layer_of(tokens: int, **shape: Any) -> Any:
    return laws.make(LongNet, tokens, **({"dtype": torch.float64} | shape))


@pytest.mark.parametrize("kernel", ["cpu", "none"])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {"segment": 4}, {"segment": 7, "growth": 3}, {"segment": 16, "patterns": 2},
        {"segment": 5, "patterns": 1}, {"segment": 1}, {"segment": 64, "patterns": 4},
        {"segment": 4, "heads": 3, "head_dim": 8},
    ],
)  # fmt: skip
@pytest.mark.parametrize("tokens", [1, 50, 64])
def test_patterns_equal_the_reference(
    monkeypatch: pytest.MonkeyPatch,
    tokens: int,
    options: dict[str, Any],
    causal: bool,
    kernel: str,
) -> None:
    monkeypatch.setattr(fused, "kernel", lambda _: kernel)
    for padded in (False, True):
        equals_its_reference(layer_of(tokens, causal=causal, **options), reference, padded=padded)


def test_a_head_sees_its_own_tokens_and_each_key_as_often_as_it_meets_it() -> None:
    layer = layer_of(32, segment=8)
    # Query 21 is 5 behind the segment of 8 from 16 on, and so 1 mod 4 from 0 on.
    assert meetings(layer, 0, 32)[21] == [0] * 16 + [1] * 8 + [0] * 8
    both = [1 if 16 <= j < 24 else 0 for j in range(32)]
    both = [n + (j % 2 == 1 and j >= 16) + (j % 4 == 1) for j, n in enumerate(both)]
    assert meetings(layer, 1, 32)[21] == both


@pytest.mark.parametrize("causal", [False, True])
def test_one_segment_of_the_whole_length_is_exact_attention(causal: bool) -> None:
    assert mean_error(layer_of(60, segment=60, causal=causal), exact) < 1e-12
    assert mean_error(layer_of(60, segment=30, causal=causal), exact) > 1e-3


@pytest.mark.parametrize("options", [{"segment": 4}, {"segment": 3, "growth": 3, "patterns": 2}])
@pytest.mark.parametrize("rotary", [0.0, 1.0])
def test_decoding_equals_the_forward(options: dict[str, Any], rotary: float) -> None:
    equals_the_forward(layer_of(70, causal=True, kv_heads=2, rotary=rotary, **options), 70)


def test_decoding_keeps_a_shortest_segment_for_each_pattern() -> None:
    layer = layer_of(64, segment=8, causal=True)
    assert isinstance(layer, Decodable)
    assert layer.patterns == [(8, 1), (16, 2), (32, 4), (64, 8)]
    state = layer.init_state(3, 40)
    assert [k.shape for k in state.k_BHSK] == [(3, 4, 8, 16)] * 4
    few = laws.with_options(LongNet, {"patterns": 3})
    assert issubclass(few, Decodable)
    assert state_bytes(few, 2**16) == state_bytes(few, 2**18)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"segment": 0}, "segment 0 is below 1"),
        ({"growth": 1}, "growth 1 is below 2"),
        ({"patterns": 0}, "patterns 0 is below 1"),
    ],
)
def test_refuses_patterns_that_are_none(options: dict[str, int], message: str) -> None:
    with pytest.raises(Unsupported, match=f"^{message}$"):
        layer_of(40, **options)
