"""Public implementations that equal their paper give what ours gives, with the same weights."""

import contextlib
import io
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchmarks.peers.peer import Inputs, Peer, known
from effattn_cli import catalog
from effattn_cli.attention import Attention, Layer
from effattn_cli.measure.modules import config
from effattn_cli.measure.workload import build

TOKENS = 512

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]
PAIRS = [
    pytest.param(name, peer, id=f"{name}-{peer.package}{'-causal' if peer.causal else ''}-{number}")
    for name, peers in known().items()
    for number, peer in enumerate(peers)
    if peer.copy is not None
]


@pytest.mark.parametrize(("name", "peer"), PAIRS)
def test_outputs_agree(name: str, peer: Peer) -> None:
    ours, theirs, inputs = both(name, peer)
    with torch.no_grad():
        mine, other = ours(*inputs), theirs(*inputs)
    assert apart(mine, other) < peer.tolerance


@pytest.mark.parametrize(("name", "peer"), PAIRS)
def test_gradients_agree(name: str, peer: Peer) -> None:
    ours, theirs, inputs = both(name, peer)
    for x in inputs:
        x.requires_grad_()
    upstream = torch.randn_like(ours(*inputs))
    pair = (
        torch.autograd.grad(run(*inputs), inputs, upstream, allow_unused=True)
        for run in (ours, theirs)
    )
    off = [
        apart(mine, other)
        for mine, other in zip(*pair, strict=True)
        if (mine, other) != (None, None)  # what chooses has none, here or there
    ]
    assert max(off) < peer.tolerance, off


def both(name: str, peer: Peer) -> tuple[Callable[..., Tensor], Callable[..., Tensor], Inputs]:
    """Ours and theirs with the same weights, which give outputs of one shape, and their inputs."""
    if find_spec(peer.module or peer.package.replace("-", "_")) is None:
        pytest.skip(f"{peer.package} is not installed")
    cell = peer.cell(name, TOKENS)
    variant = catalog.load(name, kind=Layer)
    torch.manual_seed(0)
    ours: Any = variant(config(variant, cell)).eval()
    stir(ours)
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = peer.make(TOKENS).eval()
    assert peer.copy is not None
    peer.copy(ours, theirs)
    core = cell.setting.scope == "core" and isinstance(ours, Attention)
    mine = ours.mix if core else ours
    inputs = [x.detach() for x in build(variant, cell).inputs]
    with torch.no_grad():
        shape = mine(*inputs).shape
    return mine, lambda *inputs: peer.run(theirs, inputs).reshape(shape), inputs


@torch.no_grad()
def stir(layer: nn.Module) -> None:
    """No weight of a norm stays 1, and no bias 0: one that is not copied would not show."""
    for weight in layer.parameters():
        if weight.std(correction=0) == 0:
            weight.add_(torch.randn_like(weight), alpha=0.3)


def apart(mine: Tensor, other: Tensor) -> float:
    return float((mine - other).norm() / mine.norm())


def test_what_cannot_be_compared_says_why() -> None:
    assert [peer.package for peers in known().values() for peer in peers
            if (peer.copy is None) != bool(peer.differs)] == []  # fmt: skip
