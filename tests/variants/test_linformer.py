import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.errors import Unsupported
from tests.equality import equals_its_reference
from tests.references.linformer import reference
from tests.references.sdpa import reference as exact

Linformer = catalog.load("linformer")


@pytest.mark.parametrize(
    ("sharing", "numbers"),
    [("none", 2 * 4 * 50 * 8), ("headwise", 2 * 50 * 8), ("key-value", 50 * 8)],
)
def test_sharing_sets_how_many_mixtures_are_learned(sharing: str, numbers: int) -> None:
    layer = laws.make(Linformer, 50, dtype=torch.float64, rank=8, sharing=sharing)
    mixtures = [p for name, p in layer.named_parameters() if name.startswith("mix")]
    assert sum(p.numel() for p in mixtures) == numbers
    equals_its_reference(layer, reference)


def test_is_exact_when_every_token_is_a_mixture_of_its_own() -> None:
    layer = laws.make(Linformer, 50, dtype=torch.float64, rank=50)
    for name in ("mix_k", "mix_v"):
        torch.nn.init.eye_(layer.get_parameter(name))
    equals_its_reference(layer, exact)


def test_refuses_a_rank_without_keys() -> None:
    with pytest.raises(Unsupported, match=r"^rank 0 is below 1$"):
        laws.make(Linformer, 50, rank=0)


def test_refuses_to_be_causal() -> None:
    with pytest.raises(Unsupported, match=r"^Linformer cannot be causal$"):
        laws.make(Linformer, 50, causal=True)
