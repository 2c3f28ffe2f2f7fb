from typing import Any

import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.errors import Unsupported
from effattn_cli.parts import rows, selected
from effattn_cli.setting import Phase, Setting
from tests.decoding import equals_the_forward
from tests.equality import equals_its_reference, leaves_of
from tests.growth import scaling
from tests.references.nsa import OPTIONS, reference
from tests.references.sdpa import reference as exact
from tests.references.sliding_window import reference as windowed

Nsa = catalog.load("nsa")


def nsa(tokens: int, **options: Any) -> Any:
    return laws.make(Nsa, tokens, dtype=torch.float64, causal=True, **{**OPTIONS, **options})


def own(layer: Any) -> list[torch.Tensor]:
    return [weight for name, weight in layer.named_parameters() if "projections" not in name]


@pytest.mark.parametrize("law", [law for law in laws.LAWS if not law.startswith("growth")])
def test_keeps_the_laws_where_there_is_something_to_choose(law: str) -> None:
    laws.LAWS[law](laws.with_options(Nsa, OPTIONS))


@pytest.mark.slow
def test_compiles_where_there_is_something_to_choose() -> None:
    torch.compiler.reset()
    layer, x_BTD = laws.make(Nsa, 100, causal=True, **OPTIONS), laws.tokens_in(100)
    with torch.no_grad():
        want, got = layer(x_BTD), torch.compile(layer)(x_BTD)
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "options",
    [
        {"kv_heads": 2},
        {"kv_heads": 4, "window": 1},
        {"kv_heads": 2, "top": 3},
        {"compressed": 4, "stride": 4, "block": 4},
        {"compressed": 8, "stride": 2, "block": 10, "top": 6},
        {"compressed": 1, "stride": 1, "block": 5, "window": 200},
    ],
)
def test_equals_its_reference(options: dict[str, int]) -> None:
    layer = nsa(130, **options)
    equals_its_reference(layer, reference, parameters=own(layer))


def test_pieces_of_the_queries_and_of_the_chunks_change_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for part in (rows, selected):
        monkeypatch.setattr(part, "CACHED", 1)
    monkeypatch.setattr(rows, "LEAST", 5)
    monkeypatch.setattr(selected, "WAITING", 1)
    equals_its_reference(nsa(130, kv_heads=2, top=6), reference)


@pytest.mark.parametrize("tokens", [1, 7, 8, 9, 16])
def test_queries_without_a_complete_block_get_nothing_of_that_branch(tokens: int) -> None:
    layer = nsa(tokens)
    *inputs, gate = leaves_of(layer, tokens)
    only = torch.tensor([1.0, 0, 0]).double().expand_as(gate)
    y_BHTK = layer.attend(*inputs, only)
    assert (y_BHTK[:, :, :7] == 0).all()
    assert y_BHTK.isfinite().all()
    assert (y_BHTK[:, :, 7:] != 0).all()


@pytest.mark.parametrize(("branch", "want"), [(1, exact), (2, windowed)])
def test_a_gate_lets_one_branch_through(branch: int, want: Any) -> None:
    """The selected blocks are all there are, as far as they reach; the window is a window."""
    layer = nsa(64)
    q, *kv, gate = leaves_of(layer, 64)
    only = torch.eye(3)[branch].double().expand_as(gate)
    got = layer.attend(q, *kv, only)
    other = laws.make(catalog.load("sliding-window"), 64, causal=True, window=20)
    torch.testing.assert_close(got, want(other, q, *kv[2 * branch : 2 * branch + 2], None))


def test_a_group_selects_the_same_blocks() -> None:
    layer = nsa(128, kv_heads=2)
    q, k_cmp, v_cmp, k_sel, v_sel, k_win, v_win, gate = leaves_of(layer, 128)
    only = torch.tensor([0.0, 1, 0]).double().expand_as(gate)
    y_BHTK = layer.attend(q, k_cmp, v_cmp, k_sel, v_sel, k_win, v_win, only)
    for heads in ((0, 1), (2, 3)):
        seen = []
        for h in heads:
            (grad,) = torch.autograd.grad(y_BHTK[0, h, -1].sum(), v_sel, retain_graph=True)
            seen.append(grad[0].abs().sum((0, 2)).view(-1, 16).sum(1) > 0)
        assert torch.equal(seen[0], seen[1])
        assert seen[0].sum() == 4
        assert seen[0][[0, 6, 7]].all()


@pytest.mark.parametrize(
    "options", [{}, {"kv_heads": 2, "top": 3}, {"compressed": 16, "stride": 2}]
)
def test_decoding_equals_the_forward(options: dict[str, int]) -> None:
    equals_the_forward(nsa(120, **options), 120)


def test_decoding_keeps_all_keys_those_compressed_and_a_window() -> None:
    state = nsa(100, kv_heads=2).init_state(3, 70)
    assert state.cache.k_BGZCK.shape == (3, 2, 7, 16, 16)
    assert state.small.k_BGZK.shape == (3, 2, (100 - 8) // 4 + 1, 16)
    assert state.small.k_sum_BGRE.shape == (3, 2, 2, 16)
    assert state.ring.k_BGRK.shape == (3, 2, 20, 16)


# Thousands of operators are counted one by one in training: a quarter of a minute.
@pytest.mark.parametrize(
    "phase",
    [
        pytest.param("forward", marks=pytest.mark.in_ci),
        pytest.param("train", marks=pytest.mark.slow),
    ],
)
def test_memory_grows_with_the_length(phase: Phase) -> None:
    setting = Setting(causal=True, scope="core", phase=phase)
    found = scaling(Nsa, 4096, 12288, setting, {})
    assert found.memory < 1.15
    assert found.flops < 1.4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stride": 0}, "stride 0 is below 1"),
        ({"window": 0}, "window 0 is below 1"),
        ({"compressed": 10}, "compressed 10 is not a multiple of stride 4"),
        ({"block": 0}, "block 0 is not a multiple of stride 4"),
        ({"compressed": 32}, "compressed 32 is above block 16"),
        ({"top": 2}, "top 2 is below 3: the first block and the last two"),
    ],
)
def test_refuses_what_it_cannot_cut(options: dict[str, int], message: str) -> None:
    with pytest.raises(Unsupported, match=f"^{message}$"):
        nsa(50, **options)
