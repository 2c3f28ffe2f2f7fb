from typing import Any

import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.errors import Unsupported
from tests.decoding import equals_the_forward
from tests.equality import equals_its_reference
from tests.references.gated_attention import reference

GatedAttention = catalog.load("gated-attention")


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("kv_heads", [1, 2, 4])
@pytest.mark.parametrize("gate", ["element", "head", "softplus"])
def test_each_gate_equals_the_reference(gate: str, kv_heads: int, causal: bool) -> None:
    layer = laws.make(
        GatedAttention, 60, dtype=torch.float64, causal=causal, gate=gate, kv_heads=kv_heads
    )
    equals_its_reference(layer, reference, padded=not causal)
    if causal:
        equals_the_forward(layer, 20)


@torch.no_grad()
def test_an_open_gate_leaves_exact_attention() -> None:
    layer = laws.make(GatedAttention, 60, dtype=torch.float64, causal=True, kv_heads=4)
    q, k, v, gate = (spec.random(layer, 2, 60).double() for spec in layer.inputs.values())
    exact = laws.make(catalog.load("sdpa"), 60, dtype=torch.float64, causal=True)
    got = layer.attend(q, k, v, torch.full_like(gate, 40.0))
    torch.testing.assert_close(got, exact.attend(q, k, v), rtol=1e-9, atol=1e-9)


def test_the_weights_are_those_of_qwen3_next() -> None:
    shape: dict[str, Any] = {"dim": 2048, "heads": 16, "kv_heads": 2, "head_dim": 256}
    layer: Any = laws.make(GatedAttention, 8, causal=True, qk_norm=True, rotary=0.25, **shape)
    widths = {name: tuple(part.weight.shape) for name, part in layer.projections.items()}
    assert widths == {
        "q": (4096, 2048), "k": (512, 2048), "v": (512, 2048), "gate": (4096, 2048),
        "out": (2048, 4096),
    }  # fmt: skip


def test_refuses_a_gate_that_there_is_not() -> None:
    with pytest.raises(Unsupported, match=r"^gate 'relu' is not element, head or softplus$"):
        laws.make(GatedAttention, 8, gate="relu")
