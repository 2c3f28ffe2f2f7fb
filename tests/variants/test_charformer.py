import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.errors import Unsupported
from tests.references.charformer import reference

Charformer = catalog.load("charformer")


@pytest.mark.parametrize("calibrate", [False, True])
@pytest.mark.parametrize(("block", "downsample"), [(1, 1), (2, 2), (3, 3), (4, 4), (4, 1), (6, 5)])
def test_options_equal_the_reference(block: int, downsample: int, calibrate: bool) -> None:
    layer = laws.make(
        Charformer, 67, dtype=torch.float64,
        block=block, downsample=downsample, calibrate=calibrate,
    )  # fmt: skip
    v_BHTK = 3 * torch.randn(2, 4, 67, 16, dtype=torch.float64)
    valid_BT = torch.arange(67) < torch.tensor([[67], [31]])
    for mask in (None, valid_BT):
        got = layer.attend(v_BHTK, v_BHTK, v_BHTK, mask)
        want = reference(layer, v_BHTK, v_BHTK, v_BHTK, mask)
        keep_BT = layer.output_mask(torch.ones_like(valid_BT) if mask is None else mask)
        got, want = (x.transpose(1, 2)[keep_BT] for x in (got, want))
        torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)


@torch.no_grad()
def test_without_a_preference_the_sizes_count_alike() -> None:
    """x = 1 at the first character only: blocks of 1, 2 and 3 hold it, as 1, 1/2 and 1/3."""
    layer = laws.make(Charformer, 6, dim=1, heads=1, block=3, downsample=1)
    layer.get_parameter("score.weight").zero_()
    x = torch.eye(6)[0].view(1, 6, 1)
    want = torch.tensor([1 + 1 / 2 + 1 / 3, 1 / 2 + 1 / 3, 1 / 3, 0, 0, 0]) / 3
    torch.testing.assert_close(layer(x).flatten(), want)


@torch.no_grad()
def test_a_clear_preference_takes_one_size() -> None:
    layer = laws.make(Charformer, 4, dim=1, heads=1, block=2, downsample=1, dtype=torch.float64)
    layer.get_parameter("score.weight").fill_(1e4)
    x = torch.tensor([1.0, 5.0, 3.0, 2.0], dtype=torch.float64).view(1, 4, 1)
    assert layer(x).flatten().tolist() == [3, 5, 3, 2.5]


def test_a_run_is_kept_if_a_character_of_it_is_real() -> None:
    layer = laws.make(Charformer, 7, downsample=3)
    valid_BT = torch.arange(7) < torch.tensor([[7], [4], [3]])
    assert layer.output_mask(valid_BT).tolist() == [
        [True] * 3,
        [True, True, False],
        [True, False, False],
    ]
    assert layer(laws.tokens_in(7)).shape == (2, 3, laws.D)


def test_refuses_blocks_that_do_not_fit() -> None:
    for block in (0, 7):
        with pytest.raises(Unsupported, match=rf"^block {block} is not between 1 and 6$"):
            laws.make(Charformer, 50, block=block)
    for downsample in (0, 4):
        message = rf"^downsample {downsample} is not between 1 and block 3$"
        with pytest.raises(Unsupported, match=message):
            laws.make(Charformer, 50, block=3, downsample=downsample)
