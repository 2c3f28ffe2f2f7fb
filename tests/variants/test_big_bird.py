from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor

from effattn_cli import catalog, laws
from effattn_cli.attention import Attention
from effattn_cli.errors import Unsupported
from tests.equality import equals_its_reference, mean_error
from tests.references.big_bird import reference, seen_blocks
from tests.references.sdpa import reference as exact

BigBird = catalog.load("big-bird")


def big_bird(tokens: int, **options: int) -> Any:
    return laws.make(BigBird, tokens, dtype=torch.float64, **options)


def weights(layer: Attention, tokens: int) -> Tensor:
    """The weights (H, T, T) of a layer whose head width is `tokens`, where all scores are equal."""
    same_BHTK = torch.zeros(1, 4, tokens, tokens).double()
    return layer.attend(same_BHTK, same_BHTK, torch.eye(tokens).double().expand(1, 4, -1, -1))[0]


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(
    ("tokens", "block", "random"),
    [(150, 8, 3), (150, 8, 0), (128, 16, 3), (90, 10, 5), (149, 50, 3), (64, 1, 2)],
)
def test_equals_its_reference_across_blocks(
    tokens: int, block: int, random: int, padded: bool
) -> None:
    layer = big_bird(tokens, block_size=block, random_blocks=random)
    equals_its_reference(layer, reference, padded=padded)


def test_each_row_weighs_its_blocks_once() -> None:
    tokens, block = 60, 4
    layer = big_bird(tokens, dim=4 * tokens, block_size=block)
    weights_HTT = weights(layer, tokens)
    blocks = tokens // block
    for row in range(blocks):
        several = weights_HTT[:, row * block].view(4, blocks, block)
        counts = (several.sum(-1) > 1e-12).sum(-1)
        want = blocks if row in {0, blocks - 1} else 7 if row in {1, blocks - 2} else 8
        assert counts.tolist() == [want] * 4
        torch.testing.assert_close(
            several.amax((1, 2)), torch.full((4,), 1 / want / block).double()
        )
        near = {0, blocks - 1, max(0, row - 1), row, min(blocks - 1, row + 1)}
        assert bool((several[:, sorted(near)] > 0).all())


def test_random_blocks_are_new_to_the_row_and_drawn_evenly() -> None:
    blocks = 12
    layer = big_bird(blocks, dim=2048, heads=1024, head_dim=2, block_size=1)
    plan_HZR = layer.plan(blocks)
    for row in range(1, blocks - 1):
        drawn = [sorted(picks) for picks in plan_HZR[:, row - 1].tolist()]
        free = set(range(blocks)) - {0, blocks - 1, row - 1, row, row + 1}
        assert all(len(set(picks)) == 3 and set(picks) <= free for picks in drawn)
        assert {len(seen_blocks(layer, blocks, 0, row))} <= {7, 8}
        counts = Counter(z for picks in drawn for z in picks)
        expected = 3 * 1024 / len(free)
        assert set(counts) == free
        assert all(abs(count - expected) < 5 * expected**0.5 for count in counts.values())


def test_the_pattern_is_the_seeds_and_outlives_a_cast() -> None:
    plans = [big_bird(96, block_size=4).plan(24) for _ in range(2)]
    assert torch.equal(*plans)
    layer: Any = laws.make(BigBird, 96, block_size=4)
    assert torch.equal(layer.to(torch.bfloat16).plan(24), plans[0])
    assert "draws_HZR" in layer.state_dict()
    torch.manual_seed(1)
    other: Any = BigBird(layer.config)
    assert not torch.equal(other.plan(24), plans[0])


def test_becomes_exact_as_random_blocks_are_added() -> None:
    errors = []
    for random in (0, 4, 12, 21):
        layer = big_bird(200, block_size=8, random_blocks=random)  # 25 blocks
        errors.append(mean_error(layer, exact))
    assert errors == sorted(errors, reverse=True)
    assert errors[2] > 1e-4
    assert errors[3] < 1e-12


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"block_size": 0}, "block_size 0 is below 1"),
        ({"random_blocks": -1}, "random_blocks -1 is below 0"),
        ({"causal": True}, "Big Bird cannot be causal"),
    ],
)
def test_refuses(options: dict[str, int], message: str) -> None:
    with pytest.raises(Unsupported, match=f"^{message}$"):
        big_bird(40, **options)
