from typing import Any

import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.errors import Unsupported
from effattn_cli.measure.workload import build
from effattn_cli.records import Cell
from effattn_cli.setting import Setting
from tests.decoding import equals_the_forward
from tests.equality import equals_its_reference
from tests.references.kv_sharing import reference

KVSharing: Any = catalog.load("kv-sharing")


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("window", [None, 1, 7, 100])
@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_equals_its_reference(kv_heads: int, window: int | None, causal: bool) -> None:
    layer = laws.make(
        KVSharing, 60, dtype=torch.float64, kv_heads=kv_heads, causal=causal, window=window
    )
    equals_its_reference(layer, reference, padded=not causal)
    if causal:
        equals_the_forward(layer, 20)


def test_no_window_is_below_one() -> None:
    with pytest.raises(Unsupported, match="window 0 is below 1"):
        laws.make(KVSharing, 8, window=0)


def test_projects_queries_alone() -> None:
    assert set(laws.make(KVSharing, 8).projections) == {"q", "out"}


def test_what_another_layer_keeps_is_read_and_not_counted() -> None:
    setting = Setting(causal=True, scope="layer", phase="decode", batch=3)
    subject = build(KVSharing, Cell(variant="kv-sharing", seq=100, setting=setting))
    assert subject.state == ()
    assert [tuple(x.shape) for x in subject.lent] == [(3, 2, 100, 64)] * 2
    assert all(any(x is y for y in subject.tensors) for x in subject.lent)


def test_a_window_is_lent_what_it_sees() -> None:
    setting = Setting(causal=True, scope="layer", phase="decode", batch=3)
    cell = Cell(variant="kv-sharing", seq=100, setting=setting, options={"window": 16})
    subject = build(KVSharing, cell)
    assert [tuple(x.shape) for x in subject.lent] == [(3, 2, 16, 64)] * 2
    assert subject.call().isfinite().all()
