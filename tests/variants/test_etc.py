from typing import Any

import pytest
import torch
from torch import Tensor

from effattn_cli import catalog, laws
from effattn_cli.errors import Unsupported
from tests.equality import mean_error
from tests.references.etc import reference
from tests.references.sdpa import reference as exact

Etc = catalog.load("etc")


def etc(tokens: int, **options: int | bool) -> Any:
    layer: Any = laws.make(Etc, tokens, dtype=torch.float64, **options)
    torch.nn.init.normal_(layer.labels_HKL)  # so large that a wrong label shows
    return layer


def outputs(layer: Any, mask_BT: Tensor | None) -> list[Tensor]:
    """Of ours and of the reference, then their gradients."""
    q, k, v = (x.detach().requires_grad_() for x in layer.project(laws.tokens_in(70).double()))
    keep_BT = torch.ones(laws.B, 70, dtype=torch.bool) if mask_BT is None else mask_BT
    both = layer.attend(q, k, v, mask_BT), reference(layer, q, k, v, mask_BT)
    outs = [out_BHTK.transpose(1, 2)[keep_BT] for out_BHTK in both]
    wanted = (q, k, v, layer.labels_HKL)
    grads = [torch.autograd.grad(out.square().sum(), wanted) for out in outs]
    return [torch.cat([out.flatten(), *(x.flatten() for x in grad)])
            for out, grad in zip(outs, grads, strict=True)]  # fmt: skip


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(
    ("first", "radius", "distance"),
    [(1, 1, 1), (3, 5, 2), (8, 20, 12), (20, 4, 30), (69, 9, 12), (70, 9, 3), (5, 200, 12)],
)
def test_equals_its_reference(first: int, radius: int, distance: int, padded: bool) -> None:
    layer = etc(70, global_tokens=first, radius=radius, max_distance=distance)
    valid_BT = torch.arange(70) < torch.tensor([[70], [33]])
    got, want = outputs(layer, valid_BT if padded else None)
    torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)


def test_a_sequence_may_be_shorter_than_the_global_input() -> None:
    layer = etc(200, global_tokens=100)
    q, k, v = layer.project(laws.tokens_in(33).double())
    want_BHTK = reference(layer, q, k, v, None)
    torch.testing.assert_close(layer.attend(q, k, v), want_BHTK, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("row", "keys"), [(1, range(40)), (10, [0, 1, *range(7, 14)])])
def test_a_row_sees_the_global_tokens_and_its_window(row: int, keys: range | list[int]) -> None:
    layer = etc(40, dim=160, global_tokens=2, radius=3)
    same_BHTK = torch.zeros(1, 4, 40, 40).double()
    weights_TT = layer.attend(same_BHTK, same_BHTK, torch.eye(40).double().expand(1, 4, -1, -1))[
        0, 0
    ]
    want_T = torch.zeros(40).double()
    want_T[list(keys)] = 1 / len(keys)
    torch.testing.assert_close(weights_TT[row], want_T)


def test_becomes_exact_as_the_window_grows_if_labels_say_nothing() -> None:
    errors = []
    for radius in (4, 16, 64, 200):
        layer = etc(200, global_tokens=2, radius=radius)
        torch.nn.init.zeros_(layer.labels_HKL)
        errors.append(mean_error(layer, exact))
    assert errors == sorted(errors, reverse=True)
    assert errors[2] > 1e-4
    assert errors[3] < 1e-12


@pytest.mark.parametrize("name", ["global_tokens", "radius", "max_distance"])
def test_refuses_less_than_one(name: str) -> None:
    with pytest.raises(Unsupported, match=f"^{name} 0 is below 1$"):
        etc(40, **{name: 0})


def test_refuses_to_be_causal() -> None:
    with pytest.raises(Unsupported, match=r"^ETC cannot be causal$"):
        etc(40, causal=True)
