import re
from typing import Any

import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.attention import Decodable
from effattn_cli.errors import Unsupported
from effattn_cli.parts import rows
from tests.decoding import equals_the_forward
from tests.equality import equals_its_reference
from tests.references.synthesizer import reference

Synthesizer = catalog.load("synthesizer")
LOGITS = [
    "dense", "random", "fixed-random", "factorised-dense", "factorised-random",
    "random+dot", "dense+random", "factorised-dense+factorised-random+dot",
]  # fmt: skip


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("logits", LOGITS)
def test_equals_its_reference_across_blocks(
    monkeypatch: pytest.MonkeyPatch, logits: str, causal: bool
) -> None:
    monkeypatch.setattr(rows, "LEAST", 7)
    monkeypatch.setattr(rows, "CACHED", 1)
    layer = laws.make(Synthesizer, 30, dtype=torch.float64, logits=logits, causal=causal)
    if "+" in logits:
        torch.nn.init.normal_(layer.get_parameter("shares"))
    equals_its_reference(layer, reference, tokens=23, padded=True)


@torch.no_grad()
@pytest.mark.parametrize("logits", LOGITS)
def test_decoding_equals_the_forward(logits: str) -> None:
    layer = laws.make(Synthesizer, 20, dtype=torch.float64, logits=logits, causal=True, kv_heads=2)
    equals_the_forward(layer, 20)


@pytest.mark.parametrize(
    ("logits", "read"), [("random", ""), ("dense", "q"), ("random+dot", "qk"), ("dense+dot", "qk")]
)
def test_projects_and_keeps_only_what_is_read(logits: str, read: str) -> None:
    layer = laws.make(Synthesizer, 20, logits=logits, causal=True)
    assert isinstance(layer, Decodable)
    assert set(layer.projections) == {*read, "v", "out"}
    assert layer.init_state(2, 3).k_BGRK.shape[-1] == (16 if "k" in read else 0)
    layer(laws.tokens_in(20)).square().sum().backward()
    assert all(p.grad is not None for p in layer.parameters())


def test_a_fixed_term_is_not_learned() -> None:
    layer = laws.make(Synthesizer, 20, logits="fixed-random")
    assert not layer.get_parameter("fixed_HNN").requires_grad


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 0}, "rank 0 is below 1"),
        ({"logits": "dense+dense"}, "logits 'dense+dense' names a term twice"),
        (
            {"logits": "learned"},
            "logits 'learned' is none of dense, random, fixed-random, factorised-dense,"
            " factorised-random, dot",
        ),
    ],
)
def test_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(Unsupported, match=f"^{re.escape(message)}$"):
        laws.make(Synthesizer, 50, **options)
