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
from effattn_cli.measure.modules import config, one_token
from effattn_cli.measure.workload import build
from effattn_cli.records import Cell

TOKENS, FEW = 512, 3

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]


PEERS = [
    (name, peer, f"{name}-{peer.package}{'-causal' if peer.causal else ''}-{number}")
    for name, peers in known().items()
    for number, peer in enumerate(peers)
    if peer.copy is not None
]
PAIRS = [pytest.param(name, peer, id=label) for name, peer, label in PEERS]
STEPPING = [
    pytest.param(name, peer, way, id=f"{label} {way}".strip())
    for name, peer, label in PEERS
    for way in peer.steps
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


@pytest.mark.parametrize("context", [300, TOKENS])  # within a block, and at the start of one
@pytest.mark.parametrize(("name", "peer", "way"), STEPPING)
def test_steps_agree(name: str, peer: Peer, way: str, context: int) -> None:
    """A decoding step from the same state, or a few where their work differs: the last output, and
    the state after it.
    """
    assert peer.state is not None
    cell = peer.cell(name, context + FEW, phase="decode")
    ours, theirs = layers(name, peer, cell, 1)
    contexts = range(context, context + min(ours.period, FEW))
    run, given = one_token(ours, cell)
    inputs, state = list(given.values()), ours.init_state(1, context)
    with torch.no_grad():
        other, after = peer.steps[way](theirs, inputs, peer.state(theirs, state), contexts)()
        for _ in contexts:
            mine, state = run(*inputs, state)
        expected = peer.state(theirs, state)
    assert apart(mine, other.reshape(mine.shape)) < peer.tolerance
    assert [x.shape for x in after] == [x.shape for x in expected]
    assert max(map(apart, expected, after)) < peer.tolerance


def both(name: str, peer: Peer) -> tuple[Callable[..., Tensor], Callable[..., Tensor], Inputs]:
    """Ours and theirs with the same weights, which give outputs of one shape, and their inputs."""
    cell = peer.cell(name, TOKENS)
    ours, theirs = layers(name, peer, cell, TOKENS)
    core = cell.setting.scope == "core" and isinstance(ours, Attention)
    mine = ours.mix if core else ours
    inputs = [x.detach() for x in build(type(ours), cell).inputs]
    with torch.no_grad():
        shape = mine(*inputs).shape
    return mine, lambda *inputs: peer.run(theirs, inputs).reshape(shape), inputs


def layers(name: str, peer: Peer, cell: Cell, tokens: int) -> tuple[Any, Any]:
    """Ours, and theirs for so many tokens, with the same weights."""
    if find_spec(peer.module or peer.package.replace("-", "_")) is None:
        pytest.skip(f"{peer.package} is not installed")
    variant = catalog.load(name, kind=Layer)
    torch.manual_seed(0)
    ours: Any = variant(config(variant, cell)).eval()
    stir(ours)
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = peer.make(tokens).eval()
    assert peer.copy is not None
    peer.copy(ours, theirs)
    return ours, theirs


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
