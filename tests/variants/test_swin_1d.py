import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.attention import Attention
from effattn_cli.errors import Unsupported
from tests.equality import equals_its_reference
from tests.references.sdpa import reference as exact
from tests.references.swin_1d import reference

Swin = catalog.load("swin-1d")


def swin(tokens: int, **options: int | bool) -> Attention:
    layer = laws.make(Swin, tokens, dtype=torch.float64, **options)
    torch.nn.init.normal_(layer.get_parameter("bias"))
    return layer


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {"window": 7}, {"window": 8, "shift": 0}, {"window": 8, "shift": 7}, {"window": 60},
        {"window": 1}, {"window": 100, "shift": 99},
    ],
)  # fmt: skip
def test_equals_its_reference(options: dict[str, int], padded: bool) -> None:
    layer = swin(60, **options)
    equals_its_reference(layer, reference, padded=padded, parameters=[layer.get_parameter("bias")])


@pytest.mark.parametrize(
    ("shift", "windows"),
    [(0, [(0, 8), (8, 16), (16, 20)]), (4, [(0, 4), (4, 12), (12, 20)]),
     (7, [(0, 7), (7, 15), (15, 20)])],
)  # fmt: skip
def test_tokens_see_their_window_and_no_other(shift: int, windows: list[tuple[int, int]]) -> None:
    layer = swin(20, dim=80, window=8, shift=shift)
    torch.nn.init.zeros_(layer.get_parameter("bias"))
    same = torch.zeros(1, 4, 20, 20).double()
    weights_TT = layer.attend(same, same, torch.eye(20).double().expand(1, 4, -1, -1))[0, 0]
    want_TT = torch.zeros(20, 20).double()
    for i, j in windows:
        want_TT[i:j, i:j] = 1 / (j - i)
    torch.testing.assert_close(weights_TT, want_TT)


def test_one_window_without_bias_is_exact_attention() -> None:
    layer = swin(60, window=60, shift=0)
    torch.nn.init.zeros_(layer.get_parameter("bias"))
    equals_its_reference(layer, exact)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 0}, "window 0 is below 1"),
        ({"window": 8, "shift": 8}, "shift 8 is not from 0 to below the window 8"),
        ({"causal": True}, "Swin 1D cannot be causal"),
    ],
)
def test_refuses(options: dict[str, int], message: str) -> None:
    with pytest.raises(Unsupported, match=f"^{message}$"):
        swin(40, **options)
