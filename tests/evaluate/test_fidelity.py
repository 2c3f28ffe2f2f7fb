"""What is said of fidelity, against dense computations that share no code with it."""

import importlib
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from effattn_cli import catalog, laws
from effattn_cli.attention import Attention, Layer
from effattn_cli.catalog import Catalog
from effattn_cli.errors import Unsupported
from effattn_cli.evaluate import fidelity
from effattn_cli.evaluate.drawing import Drawn, draw
from effattn_cli.evaluate.regimes import REGIMES
from effattn_cli.evaluation import Fidelity
from effattn_cli.measure.output_check import NotFinite
from effattn_cli.records import Cell
from effattn_cli.setting import Setting

T, H, K = 96, 4, 16
#: Knobs with which 96 tokens are more than a variant sees.
SMALL: dict[str, dict[str, Any]] = {
    "big-bird": {"block_size": 8, "random_blocks": 1},
    "blockwise": {"blocks": 4},
    "chunked": {"chunk": 16},
    "clustered": {"clusters": 8, "topk": 8},
    "clusterformer": {"clusters": 8, "chunk": 16},
    "h-transformer-1d": {"rank": 4},
    "image-transformer": {"block": 16, "memory": 16},
    "longformer": {"window": 8},
    "longnet": {"segment": 16},
    "moba": {"block": 8, "top": 2},
    "nystromformer": {"kernel": 0, "landmarks": 8},
    "performer": {"features": 32},
    "sliding-window": {"window": 8},
    "sparse-transformer": {"stride": 8, "summary": 2},
}
CAUSAL = {"chunked", "longformer", "image-transformer", "moba", "sparse-transformer"}
Reference = Callable[..., Tensor]


def reference_of(name: str) -> Reference:
    return importlib.import_module(f"tests.references.{name.replace('-', '_')}").reference


def layer_of(name: str, **more: Any) -> Attention:
    options = SMALL.get(name, {}) | {"causal": name in CAUSAL} | more
    return laws.make(catalog.load(name), T, dtype=torch.float64, **options)


def inputs(regime: str = "local", *, causal: bool = False, tokens: int = T) -> Drawn:
    return draw(regime, heads=H, kv_heads=H, tokens=tokens, width=K, causal=causal, seed=3)


def dense_weights(layer: Attention, reference: Reference, one: Drawn) -> Tensor:
    """Of a variant by its definition, (H, T, T): what it makes of each row of an identity."""
    columns = []
    for first in range(0, T, K):
        v_BHTK = torch.zeros(1, H, T, K).double()
        for number in range(K):
            v_BHTK[:, :, first + number, number] = 1
        columns.append(reference(layer, one.q_BHTK, one.k_BGTK, v_BHTK, None)[0])
    return torch.cat(columns, dim=2)


def exact_weights(one: Drawn, *, causal: bool) -> list[list[list[float]]]:
    """By hand, number by number."""
    found = []
    for h in range(H):
        rows = []
        for i in range(T):
            scores = [
                math.fsum((one.q_BHTK[0, h, i] * one.k_BGTK[0, h, j]).tolist()) / math.sqrt(K)
                if j <= i or not causal else -math.inf
                for j in range(T)
            ]  # fmt: skip
            exps = [math.exp(score - max(scores)) for score in scores]
            rows.append([x / math.fsum(exps) for x in exps])
        found.append(rows)
    return found


def overlap(exact: list[float], own: list[float], seen: int) -> float:
    """Of one query: by sorting, ties taken by lot."""
    count = min(10, seen)
    wanted = sorted(range(T), key=lambda j: -exact[j])[:count]
    last = sorted(own, reverse=True)[count - 1]
    above = [j for j in range(T) if own[j] > 0 and own[j] > last + 1e-4 * abs(last)]
    level = [j for j in range(T) if own[j] > 0 and abs(own[j] - last) <= 1e-4 * abs(last)]
    chance = (count - len(above)) / len(level) if level else 0.0
    return sum(1.0 if j in above else chance if j in level else 0.0 for j in wanted) / count


@pytest.mark.in_ci
@torch.no_grad()
@pytest.mark.parametrize("name", SMALL)
def test_every_lossy_variant_is_as_near_as_a_dense_computation_says(name: str) -> None:
    causal = name in CAUSAL
    layer, reference, one = layer_of(name), reference_of(name), inputs(causal=causal)
    got = fidelity.compare(layer, one)
    exact = exact_weights(one, causal=causal)
    want_HTK = torch.tensor(exact).double() @ one.v_BGTK[0]
    y_HTK = reference(layer, one.q_BHTK, one.k_BGTK, one.v_BGTK, None)[0]
    own = dense_weights(layer, reference, one).tolist()
    for h in range(H):
        difference, norm = (y_HTK[h] - want_HTK[h]).square().sum(), want_HTK[h].square().sum()
        assert got[0][0, h].item() == pytest.approx(math.sqrt(difference / norm), abs=1e-6)
        cosines = [
            float(a @ b) / max(1e-30, math.sqrt(float(a @ a) * float(b @ b)))
            for a, b in zip(y_HTK[h], want_HTK[h], strict=True)
        ]
        assert got[1][0, h].item() == pytest.approx(math.fsum(cosines) / T, abs=1e-6)
        shares = [overlap(exact[h][i], own[h][i], i + 1 if causal else T) for i in range(T)]
        assert got[2][0, h].item() == pytest.approx(math.fsum(shares) / T, abs=1e-6)
    assert got[0].min() > 1e-3  # they are lossy here


def test_these_are_all_lossy_variants() -> None:
    every = Catalog()
    assert {name for name in every.names() if every.variant(name).card.swap == "lossy"} == set(
        SMALL
    )


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("name", ["sdpa", "softmax", "gqa"])
def test_exact_variants_are_exact_in_float32(name: str, regime: str, causal: bool) -> None:
    setting = Setting(dim=64, heads=4, kv_heads=4, causal=causal)
    cell = Cell(variant=name, seq=200, setting=setting)
    wanted = Fidelity(regime=regime, draws=1)
    found = fidelity.measure(catalog.load(name), cell, wanted, seed=1)
    assert max(found.errors) < 1e-6
    assert min(found.cosines) > 1 - 1e-6
    assert min(found.overlaps) > 0.999  # two tiny weights may change places
    assert len(found.errors) == len(found.cosines) == len(found.overlaps) == 4


def test_heads_that_share_keys_are_compared_as_they_are() -> None:
    for kv_heads in (1, 2):
        setting = Setting(dim=64, heads=4, kv_heads=kv_heads)
        cell = Cell(variant="sdpa", seq=100, setting=setting)
        found = fidelity.measure(
            catalog.load("sdpa"), cell, Fidelity(regime="anisotropic", draws=2), seed=0
        )
        assert max(found.errors) < 1e-6
        assert len(found.errors) == 8


@torch.no_grad()
def test_error_falls_as_a_window_grows() -> None:
    errors = [
        fidelity.compare(layer_of("sliding-window", window=window), inputs())[0].mean()
        for window in (4, 16, 64, 2 * T)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-12


class Strange(Attention):
    """What `compare` must not believe."""

    card = catalog.load("softmax").card


class Squared(Strange):
    def attend(self, q: Tensor, k: Tensor, v: Tensor, real: Tensor | None = None) -> Tensor:
        return v.square()


class Nothing(Strange):
    def attend(self, q: Tensor, k: Tensor, v: Tensor, real: Tensor | None = None) -> Tensor:
        return v / 0


class Halved(Strange):
    def attend(self, q: Tensor, k: Tensor, v: Tensor, real: Tensor | None = None) -> Tensor:
        return v[:, :, ::2]


class Bare(Strange):
    def attend(self, q: Tensor, k: Tensor, v: Tensor, real: Tensor | None = None) -> Tensor:
        return 0 * v


def strange(kind: type[Attention]) -> Attention:
    return kind(kind.Config(dim=H * K, heads=H, tokens=T, core=True))


@torch.no_grad()
def test_no_weights_are_named_where_the_output_is_no_weighted_sum_of_the_values() -> None:
    error, cosine, shares, _ = fidelity.compare(strange(Squared), inputs())
    assert shares.numel() == 0
    assert error.shape == cosine.shape == (1, H)


@torch.no_grad()
def test_an_output_of_nothing_is_wholly_wrong() -> None:
    error, cosine, shares, _ = fidelity.compare(strange(Bare), inputs())
    assert error.tolist() == [[1.0] * H]
    assert cosine.tolist() == shares.tolist() == [[0.0] * H]


@torch.no_grad()
def test_what_is_no_output_is_refused() -> None:
    with pytest.raises(NotFinite, match="not finite"):
        fidelity.compare(strange(Nothing), inputs())
    with pytest.raises(Unsupported, match="another number of tokens"):
        fidelity.compare(strange(Halved), inputs())


@pytest.mark.parametrize("name", ["based", "mamba2", "st-moe"])
def test_a_core_of_other_inputs_is_refused(name: str) -> None:
    causal = Catalog().variant(name).card.causal == "always"
    cell = Cell(variant=name, seq=64, setting=Setting(dim=128, heads=4, causal=causal))
    with pytest.raises(Unsupported, match=r"no core of|other inputs than"):
        fidelity.core(catalog.load(name, kind=Layer), cell)


def test_ties_count_as_likely_as_they_would_be_drawn() -> None:
    exact = torch.arange(40, 0, -1).double().view(1, 1, 1, 40)
    seen = torch.ones(1, 40).bool()
    same = torch.full((1, 1, 1, 40), 0.025).double()
    assert fidelity.overlaps(exact, same, seen).item() == pytest.approx(10 / 40)
    few = torch.zeros(1, 1, 1, 40).double()
    few[..., 5:9] = 0.25
    assert fidelity.overlaps(exact, few, seen).item() == pytest.approx(0.4)
    assert fidelity.overlaps(exact, -exact, seen).item() == 0
    three = torch.arange(40) < 3
    assert fidelity.overlaps(exact * three, exact * three, three[None]).item() == 1


def test_state_is_what_a_causal_core_keeps() -> None:
    cell = Cell(
        variant="sliding-window", options={"window": 32}, seq=500,
        setting=Setting(dim=64, heads=4, kv_heads=2, causal=True),
    )  # fmt: skip
    variant = catalog.load("sliding-window")
    assert fidelity.state_bytes(variant, cell) == 2 * 2 * 32 * 16 * 4
    other = Cell(variant="sliding-window", seq=500, setting=Setting(dim=64, heads=4))
    assert fidelity.state_bytes(variant, other) is None
