"""The feed-forwards of blocks: each against its definition, token by token."""

import pytest
import torch
from torch.nn import functional

from effattn_cli import catalog, feeds
from effattn_cli.attention import Layer
from effattn_cli.measure.feed_forwards import Dense, Sparse, made
from effattn_cli.measure.workload import build
from effattn_cli.records import Cell
from effattn_cli.setting import Norm, Setting

D = 12
FUNCTIONS = {
    "relu": lambda x: x.clamp(min=0),
    "relu2": lambda x: x.clamp(min=0) ** 2,
    "gelu": lambda x: x * (1 + torch.erf(x / 2**0.5)) / 2,
    "silu": lambda x: x / (1 + torch.exp(-x)),
}
GATES = {"swiglu": "silu", "geglu": "gelu", "reglu": "relu"}


def by_definition(feed: Dense, x: torch.Tensor, word: str) -> torch.Tensor:
    if word in GATES:
        gate, up = feed.up.weight.chunk(2)
        return (FUNCTIONS[GATES[word]](x @ gate.T) * (x @ up.T)) @ feed.down.weight.T
    return FUNCTIONS[word](x @ feed.up.weight.T) @ feed.down.weight.T


@torch.no_grad()
@pytest.mark.parametrize("word", [*FUNCTIONS, *GATES])
def test_a_dense_one_is_its_definition(word: str) -> None:
    feed = made(feeds.parse(f"{word}:20"), D).double()
    assert isinstance(feed, Dense)
    x = torch.randn(2, 7, D, dtype=torch.float64)
    torch.testing.assert_close(feed(x), by_definition(feed, x, word))


@torch.no_grad()
@pytest.mark.parametrize("text", ["swiglu:8*6/2", "relu:8*6/1", "swiglu:8*6/3+10", "gelu:4*3/3"])
def test_experts_are_what_their_router_ranks_first(text: str) -> None:
    shape = feeds.parse(text)
    feed = made(shape, D).double()
    assert isinstance(feed, Sparse)
    for weight in feed.parameters():  # experts begin alike
        weight.copy_(torch.randn_like(weight))
    x = torch.randn(2, 5, D, dtype=torch.float64)
    expected = torch.zeros_like(x)
    for place in torch.cartesian_prod(torch.arange(2), torch.arange(5)).tolist():
        token = x[tuple(place)]
        chosen = sorted(range(shape.experts), key=lambda e: -float(feed.router.weight[e] @ token))
        scores = torch.stack([feed.router.weight[e] @ token for e in chosen[: shape.chosen]])
        for share, expert in zip(scores.softmax(0), chosen, strict=False):
            hidden = token @ feed.up_EDF[expert]
            if shape.gated:
                gate, hidden = hidden.chunk(2)
                hidden = functional.silu(gate) * hidden
            else:
                hidden = FUNCTIONS[shape.activation](hidden)
            expected[tuple(place)] += share * (hidden @ feed.down_EFD[expert])
        if feed.shared is not None:
            expected[tuple(place)] += by_definition(feed.shared, token, shape.activation)
    torch.testing.assert_close(feed(x), expected)
    torch.testing.assert_close(feed.decode(x[:, 2]), expected[:, 2])


@torch.no_grad()
@pytest.mark.parametrize("feed", ["none", "swiglu:16", "swiglu:16*4/2"])
@pytest.mark.parametrize("norm", ["layer", "rms"])
def test_a_block_has_the_feed_and_the_norm_of_its_setting(feed: str, norm: Norm) -> None:
    setting = Setting(scope="block", dim=D, heads=2, feed=feed, norm=norm, causal=True)
    subject = build(catalog.load("sdpa"), Cell(variant="sdpa", seq=6, setting=setting))
    norms = torch.nn.LayerNorm if norm == "layer" else torch.nn.RMSNorm
    found = [part for part in subject.module.modules() if isinstance(part, norms)]
    assert len(found) == (1 if feed == "none" else 2)
    assert subject.call().shape == (1, 6, D)


@torch.no_grad()
def test_a_layer_without_a_mixer_is_its_feed_forward() -> None:
    setting = Setting(scope="block", dim=D, heads=1, feed="relu:16", norm="rms")
    kind = catalog.load("feed-forward", kind=Layer)
    subject = build(kind, Cell(variant="feed-forward", seq=6, setting=setting))
    (x,) = subject.inputs
    weights = dict(subject.module.named_parameters())
    normed = x * (x.square().mean(-1, keepdim=True) + torch.finfo(x.dtype).eps).rsqrt()
    expected = x + (normed @ weights["feed.up.weight"].T).relu() @ weights["feed.down.weight"].T
    torch.testing.assert_close(subject.call(), expected)
    decoding = Setting(scope="block", dim=D, heads=1, feed="relu:16", norm="rms", phase="decode")
    step = build(kind, Cell(variant="feed-forward", seq=6, setting=decoding))
    assert step.call().shape == (1, D)
    assert not step.state


@torch.no_grad()
@pytest.mark.parametrize(
    ("name", "shape"), [("token-embedding", (2, 5, D)), ("lm-head", (2, 5, 50))]
)
def test_the_ends_of_a_model(name: str, shape: tuple[int, ...]) -> None:
    setting = Setting(scope="layer", dim=D, heads=1, batch=2)
    cell = Cell(variant=name, options={"vocab": 50}, seq=5, setting=setting)
    subject = build(catalog.load(name, kind=Layer), cell)
    assert subject.call().shape == shape
    assert sum(weight.numel() for weight in subject.weights) == 50 * D + (
        D if "head" in name else 0
    )
