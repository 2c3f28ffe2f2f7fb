import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.attention import Attention
from effattn_cli.errors import Unsupported
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
    real_BT = torch.arange(100) < torch.tensor([[100], [43]])
    keep_BT = real_BT if padded else torch.ones_like(real_BT)
    mask_BT = real_BT if padded else None
    q, k, v = (x.detach().requires_grad_() for x in layer.project(laws.tokens_in(100).double()))
    both = layer.attend(q, k, v, mask_BT), reference(layer, q, k, v, mask_BT)
    outs = [out_BHTK.transpose(1, 2)[keep_BT] for out_BHTK in both]
    torch.testing.assert_close(outs[0], outs[1], rtol=1e-9, atol=1e-9)
    grads = [torch.autograd.grad(out.square().sum(), (q, k, v)) for out in outs]
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-9, atol=1e-9)


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
    qkv = layer.project(laws.tokens_in(60).double())
    torch.testing.assert_close(layer.attend(*qkv), exact(layer, *qkv, None), rtol=1e-9, atol=1e-9)


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
