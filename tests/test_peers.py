"""Public implementations that equal their paper give what ours gives, with the same weights."""

import contextlib
import io
from typing import Any

import pytest
import torch

from benchmarks.peers.peer import Peer, known
from effattn_cli import catalog
from effattn_cli.attention import Attention, Layer
from effattn_cli.measure.workload import build, config

TOKENS = 512

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]
PAIRS = [
    pytest.param(name, peer, id=f"{name}-{peer.package}{'-causal' if peer.causal else ''}-{number}")
    for name, peers in known().items()
    for number, peer in enumerate(peers)
    if peer.copy is not None
]


@torch.no_grad()
@pytest.mark.parametrize(("name", "peer"), PAIRS)
def test_outputs_agree(name: str, peer: Peer) -> None:
    pytest.importorskip(peer.package.replace("-", "_"))
    cell = peer.cell(name, TOKENS)
    variant = catalog.load(name, kind=Layer)
    torch.manual_seed(0)
    ours: Any = variant(config(variant, cell)).eval()
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = peer.make(TOKENS).eval()
    assert peer.copy is not None
    peer.copy(ours, theirs)
    inputs = [x.detach() for x in build(variant, cell).inputs]
    core = cell.setting.scope == "core" and isinstance(ours, Attention)
    mine = ours.mix(*inputs) if core else ours(*inputs)
    other = peer.run(theirs, inputs).reshape(mine.shape)
    assert (mine - other).norm() / mine.norm() < peer.tolerance


def test_what_cannot_be_compared_says_why() -> None:
    assert [peer.package for peers in known().values() for peer in peers
            if (peer.copy is None) != bool(peer.differs)] == []  # fmt: skip
