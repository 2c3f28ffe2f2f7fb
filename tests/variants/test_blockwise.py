import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.attention import Attention
from effattn_cli.errors import Unsupported
from tests.equality import equals_its_reference
from tests.references.blockwise import reference, shift
from tests.references.sdpa import reference as exact

Blockwise = catalog.load("blockwise")


def blockwise(tokens: int, **options: int) -> Attention:
    return laws.make(Blockwise, tokens, dtype=torch.float64, **options)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(
    "options", [{"blocks": 3}, {"blocks": 7, "shifted": 4}, {"blocks": 40}, {"shifted": 0}]
)
def test_equals_its_reference(options: dict[str, int], padded: bool) -> None:
    layer = blockwise(100, **options)
    equals_its_reference(layer, reference, padded=padded)


@pytest.mark.parametrize(
    ("blocks", "shifts"),
    [(2, 10 * [0] + 2 * [1]), (3, 8 * [0] + 2 * [1, 2]), (1, 12 * [0])],
)
def test_twelve_heads_shift_as_in_the_paper(blocks: int, shifts: list[int]) -> None:
    layer = blockwise(36, dim=12 * 36, heads=12, blocks=blocks)
    same = torch.zeros(1, 12, 36, 36).double()
    weights_HTT = layer.attend(same, same, torch.eye(36).double().expand(1, 12, -1, -1))[0]
    block = 36 // blocks
    looks_at = [int(weights_TT[0].argmax()) // block for weights_TT in weights_HTT]
    assert looks_at == shifts == [shift(layer, head, blocks) for head in range(12)]
    torch.testing.assert_close(weights_HTT.amax(-1), torch.full((12, 36), 1 / block).double())


def test_one_block_is_exact_attention() -> None:
    layer = blockwise(60, blocks=1)
    equals_its_reference(layer, exact)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"blocks": 0}, "blocks 0 is below 1"),
        ({"shifted": 5}, "shifted 5 is not from 0 to the 4 heads"),
        ({"causal": True}, "Blockwise cannot be causal"),
    ],
)
def test_refuses(options: dict[str, int], message: str) -> None:
    with pytest.raises(Unsupported, match=f"^{message}$"):
        blockwise(40, **options)
