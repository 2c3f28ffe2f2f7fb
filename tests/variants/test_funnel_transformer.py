import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.errors import Unsupported
from effattn_cli.parts import rows
from tests.equality import equals_its_reference
from tests.references.funnel_transformer import reference

Funnel = catalog.load("funnel-transformer")


@pytest.mark.parametrize("block", [1, 4, 64])
@pytest.mark.parametrize("separate", [False, True])
@pytest.mark.parametrize("tokens", [1, 2, 3, 24, 25])
def test_equals_its_reference_across_blocks(
    monkeypatch: pytest.MonkeyPatch, tokens: int, separate: bool, block: int
) -> None:
    monkeypatch.setattr(rows, "LEAST", block)
    monkeypatch.setattr(rows, "CACHED", 1)
    layer = laws.make(Funnel, tokens, dtype=torch.float64, separate_cls=separate)
    equals_its_reference(layer, reference, padded=True)


@pytest.mark.parametrize(
    ("separate", "tokens", "real", "kept"),
    [
        (True, 8, 8, [True, True, True, True]),
        (True, 8, 4, [True, True, False, False]),  # pairs: [CLS], 1 2, 3 4, 5 6
        (True, 7, 6, [True, True, True, True]),  # the last pair is 5 alone
        (False, 8, 5, [True, True, False, False]),  # 0 1, 2 3, 4 5, 6 7
        (False, 7, 7, [True, True, True, True]),
    ],
)
def test_keeps_pairs_of_real_tokens(
    separate: bool, tokens: int, real: int, kept: list[bool]
) -> None:
    layer = laws.make(Funnel, tokens, separate_cls=separate)
    assert layer.output_mask(torch.arange(tokens)[None] < real)[0].tolist() == kept


@torch.no_grad()
def test_equal_tokens_are_told_apart_by_distance_alone() -> None:
    layer = laws.make(Funnel, 40, dtype=torch.float64, separate_cls=False)
    layer.get_parameter("positions.project.weight").mul_(30)
    qkv = layer.project(laws.tokens_in(1).double())
    q, k = (x.expand(-1, -1, 40, -1) for x in qkv[:2])
    v = torch.eye(40, dtype=torch.float64).expand(2, 4, -1, -1)
    weights_BHPT = layer.attend(q, k, v)
    odds = (weights_BHPT[..., 1:] / weights_BHPT[..., :-1]).log()
    torch.testing.assert_close(odds[:, :, 1:, 2:], odds[:, :, :-1, :-2])  # two keys on, one pair on
    assert odds.std() > 0.1


def test_refuses_to_be_causal() -> None:
    with pytest.raises(Unsupported, match=r"^Funnel-Transformer cannot be causal$"):
        laws.make(Funnel, 50, causal=True)
