"""What a cell runs at each scope, and what a feed-forward's tokens used of it."""

from typing import Any

import pytest
import torch
from torch.nn.functional import layer_norm, relu

from effattn_cli import catalog
from effattn_cli.attention import Attention, Decodable, Layer
from effattn_cli.errors import Unsupported
from effattn_cli.measure import expert_usage
from effattn_cli.measure.counting import count
from effattn_cli.measure.transformer_block import Block
from effattn_cli.measure.workload import build
from effattn_cli.records import Cell, Sampling
from effattn_cli.setting import Setting

D = 64


def a_cell(variant: str, **axes: Any) -> Cell:
    setting: Any = {"dim": D, "heads": 4, "batch": 2} | axes
    seq = setting.pop("seq", 48)
    return Cell(variant=variant, seq=seq, setting=Setting(**setting))


@torch.no_grad()
@pytest.mark.parametrize("name", ["sliding-window", "switch-transformer"])
@pytest.mark.parametrize("padding", [0.0, 0.25])
def test_a_block_is_attention_and_then_feed_forward_each_with_a_residual(
    name: str, padding: float
) -> None:
    cell = a_cell(name, scope="block", causal=True, padding=padding)
    subject = build(catalog.load(name, kind=Layer), cell)
    block: Any = subject.module
    x, *masks = subject.inputs
    x = x + block.mixer(layer_norm(x, (D,)), *masks)
    want = x + block.feed(layer_norm(x, (D,)), *masks)
    torch.testing.assert_close(subject.call(), want)
    assert type(block.mixer).__name__ == ("SlidingWindow" if name == "sliding-window" else "SDPA")
    assert block.mixer.causal


@torch.no_grad()
def test_beside_an_attention_stands_the_feed_forward_of_four_times_the_width() -> None:
    block: Any = build(catalog.load("sdpa"), a_cell("sdpa", scope="block")).module
    up, down = block.feed.up.weight, block.feed.down.weight
    assert (up.shape, down.shape) == ((4 * D, D), (D, 4 * D))
    x = torch.randn(3, D)
    torch.testing.assert_close(block.feed(x), relu(x @ up.T) @ down.T)


@torch.no_grad()
@pytest.mark.parametrize("name", ["linear-transformer", "product-key-memory"])
def test_decoding_a_block_equals_its_causal_forward(name: str) -> None:
    cell = a_cell(name, scope="block", causal=True, dtype="float64")
    subject = build(catalog.load(name, kind=Layer), cell)
    block: Any = subject.module
    assert isinstance(block, Block)
    assert isinstance(block.mixer, Decodable)
    want, state = subject.call(), block.mixer.init_state(2, 0)
    for t in range(10):
        y, state = block.decode(subject.inputs[0][:, t], state)
        torch.testing.assert_close(y, want[:, t])


@pytest.mark.parametrize("phase", ["forward", "train", "decode"])
@pytest.mark.parametrize("name", ["linformer", "sdpa", "glam", "scaling-transformers"])
def test_every_phase_of_a_block_runs_and_is_counted(name: str, phase: Any) -> None:
    variant = catalog.load(name, kind=Layer)
    cell = a_cell(name, scope="block", phase=phase, causal=phase == "decode")
    if (name, phase) == ("linformer", "decode"):
        with pytest.raises(Unsupported, match=r"^Linformer cannot decode$"):
            build(variant, cell)
        return
    subject = build(variant, cell)
    assert subject.call().shape == ((2, D) if phase == "decode" else (2, 48, D))
    assert count(variant, cell).resident_bytes == sum(x.nbytes for x in subject.tensors)


def test_a_block_costs_its_halves() -> None:
    def flops(name: str, scope: Any) -> int:
        return count(catalog.load(name, kind=Layer), a_cell(name, scope=scope)).cost.matmul_flops

    dense = 2 * 2 * 48 * D * 4 * D * 2
    assert flops("sliding-window", "block") == flops("sliding-window", "layer") + dense
    both = flops("sdpa", "layer") + flops("scaling-transformers", "layer")
    assert flops("scaling-transformers", "block") == both


def test_a_feed_forward_alone_is_the_same_at_core_and_layer() -> None:
    variant = catalog.load("glam", kind=Layer)
    core, layer = (count(variant, a_cell("glam", scope=scope)) for scope in ("core", "layer"))
    assert core == layer


class Halved(Attention):
    card = catalog.load("linformer").card

    def attend(self, q: Any, k: Any, v: Any, valid: Any = None) -> Any:
        return q[:, :, ::2]


def test_around_fewer_tokens_goes_no_residual() -> None:
    why = "^Linformer makes 24 tokens of 48, so that no residual can go around it$"
    with pytest.raises(Unsupported, match=why):
        build(Halved, a_cell("halved", scope="block")).call()


@pytest.mark.parametrize("scope", ["layer", "block"])
@pytest.mark.parametrize("phase", ["forward", "train", "decode"])
def test_what_was_used_is_told_of_every_phase(scope: Any, phase: Any) -> None:
    cell = a_cell("gshard", scope=scope, phase=phase, causal=True)
    found = expert_usage.measure(catalog.load("gshard", kind=Layer), cell, Sampling())
    assert found is not None
    each = 2 * D * 4 * D
    assert found.total_parameters == 16 * each + 16 * D
    assert found.active_parameters == 2 * each + 16 * D
    assert (found.dropped > 0) == (phase != "decode")
    assert found.load is not None
    assert 1 < found.load <= 16


def test_an_attention_uses_all_of_itself_and_says_nothing() -> None:
    assert expert_usage.measure(catalog.load("sdpa"), a_cell("sdpa"), Sampling()) is None
