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
from tests.references.moba import reference
from tests.references.sdpa import reference as exact

Moba = catalog.load("moba")


def moba(tokens: int, **options: Any) -> Any:
    return laws.make(Moba, tokens, dtype=torch.float64, causal=True, **options)


@pytest.mark.parametrize("law", [law for law in laws.LAWS if not law.startswith("growth")])
def test_keeps_the_laws_where_there_is_something_to_choose(law: str) -> None:
    laws.LAWS[law](laws.with_options(Moba, {"block": 16, "top": 3}))


@pytest.mark.slow
def test_compiles_where_there_is_something_to_choose() -> None:
    torch.compiler.reset()
    layer, x_BTD = laws.make(Moba, 100, causal=True, block=16, top=3), laws.tokens_in(100)
    with torch.no_grad():
        want, got = layer(x_BTD), torch.compile(layer)(x_BTD)
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
@pytest.mark.parametrize(("block", "top"), [(1, 3), (7, 1), (7, 2), (16, 5), (16, 9), (64, 2)])
def test_equals_its_reference(block: int, top: int, kv_heads: int) -> None:
    equals_its_reference(moba(150, block=block, top=top, kv_heads=kv_heads), reference)


@pytest.mark.parametrize("pieces", [False, True])
def test_pieces_of_the_queries_and_of_the_chunks_change_nothing(
    monkeypatch: pytest.MonkeyPatch, pieces: bool
) -> None:
    for part in (rows, selected):
        monkeypatch.setattr(part, "pieces_pay", lambda _: pieces)
        monkeypatch.setattr(part, "CACHED", 1)
    monkeypatch.setattr(rows, "LEAST", 5)
    monkeypatch.setattr(selected, "WAITING", 1)
    equals_its_reference(moba(150, block=8, top=4, kv_heads=2), reference)


def test_the_own_block_counts_as_one_of_the_best() -> None:
    layer, K = moba(64, block=8, top=2), 16
    k_BHTK = torch.zeros(1, 4, 64, K).double()
    k_BHTK[:, :, 16:24, 0] = 1  # what all queries look for
    q_BHTK = torch.zeros(1, 4, 64, K).double()
    q_BHTK[..., 0] = 1
    v_BHTK = torch.randn(1, 4, 64, K).double().requires_grad_()
    for query, seen in ((60, [*range(16, 24), *range(56, 61)]), (20, None), (12, range(13))):
        y_BHTK = layer.attend(q_BHTK, k_BHTK, v_BHTK)
        (grad_BHTK,) = torch.autograd.grad(y_BHTK[:, :, query].sum(), v_BHTK)
        found = grad_BHTK.abs().sum((0, 1, 3)).nonzero().flatten().tolist()
        if seen is None:  # its own block, and either of those before it
            assert found[-5:] == list(range(16, 21))
            assert len(found) == 13
        else:
            assert found == list(seen)


def test_is_exact_as_far_as_the_blocks_reach() -> None:
    layer = moba(150, block=20, top=4)
    q, k, v = leaves_of(layer, 150)
    got, want = layer.attend(q, k, v), exact(layer, q, k, v, None)
    torch.testing.assert_close(got[:, :, :80], want[:, :, :80], rtol=1e-9, atol=1e-9)
    assert (got - want)[:, :, 80:].abs().max() > 1e-3
    equals_its_reference(moba(150, block=20, top=8), exact)


@pytest.mark.parametrize("options", [{"block": 1}, {"block": 8, "top": 1}, {"block": 8, "top": 3}])
def test_decoding_equals_the_forward(options: dict[str, int]) -> None:
    equals_the_forward(moba(60, kv_heads=2, rotary=0.5, **options), 60)


def test_decoding_keeps_all_keys_and_a_mean_of_each_block() -> None:
    state = moba(100, block=8, kv_heads=2).init_state(3, 70)
    assert state.cache.k_BGZCK.shape == (3, 2, 13, 8, 16)
    assert state.mean_BGZK.shape == (3, 2, 13, 16)
    half = moba(100).to(torch.bfloat16)
    assert half.init_state(3, 70).mean_BGZK.dtype == torch.float32


# Thousands of operators are counted one by one in training: a quarter of a minute.
@pytest.mark.parametrize(
    "phase",
    [
        pytest.param("forward", marks=pytest.mark.in_ci),
        pytest.param("train", marks=pytest.mark.slow),
    ],
)
def test_cost_grows_with_the_length_and_hardly_with_its_square(phase: Phase) -> None:
    setting = Setting(causal=True, scope="core", phase=phase)
    found = scaling(Moba, 4096, 12288, setting, {})
    assert found.memory < 1.15
    assert found.flops < 1.2


@pytest.mark.parametrize("option", ["block", "top"])
def test_refuses_what_is_below_1(option: str) -> None:
    with pytest.raises(Unsupported, match=f"^{option} 0 is below 1$"):
        moba(50, **{option: 0})
