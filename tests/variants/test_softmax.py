import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.measure.counting import count
from effattn_cli.records import Cell
from effattn_cli.setting import Setting
from tests.decoding import equals_the_forward
from tests.equality import equals_its_reference
from tests.references.sdpa import reference

Softmax = catalog.load("softmax")


@pytest.mark.parametrize("causal", [False, True])
def test_shares_kv_heads_within_a_group(causal: bool) -> None:
    layer = laws.make(Softmax, 50, dtype=torch.float64, kv_heads=2, causal=causal)
    equals_its_reference(layer, reference, padded=True)


@torch.no_grad()
def test_decodes_with_shared_kv_heads() -> None:
    layer = laws.make(Softmax, 20, dtype=torch.float64, kv_heads=2, causal=True)
    equals_the_forward(layer, 20)


def test_holds_all_scores_and_their_softmax_where_sdpa_holds_neither() -> None:
    cell = Cell(variant="", seq=1024, setting=Setting(heads=8))
    scores_bytes = 8 * 1024 * 1024 * 4
    assert count(Softmax, cell).cost.peak_bytes >= 2 * scores_bytes
    assert count(catalog.load("sdpa"), cell).cost.peak_bytes < scores_bytes / 4
