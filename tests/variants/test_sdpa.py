import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.attention import Decodable

SDPA = catalog.load("sdpa")


def kernels(backend: str) -> set[str]:
    """The attention operators that a forward dispatches."""
    layer, x_BTD = laws.make(SDPA, 40, backend=backend), laws.tokens_in(40)
    with torch.no_grad(), torch.profiler.profile() as profile:
        layer(x_BTD)
    names = {event.key for event in profile.key_averages()}
    return {name for name in names if "_scaled_dot_product" in name}


def test_the_backend_asked_for_is_the_one_that_runs() -> None:
    assert kernels("math") == {"aten::_scaled_dot_product_attention_math"}
    assert kernels("flash") == {"aten::_scaled_dot_product_flash_attention_for_cpu"}
    assert kernels("auto") == kernels("flash")


@torch.no_grad()
def test_a_backend_that_cannot_run_here_fails_instead_of_giving_way_to_another() -> None:
    layer = laws.make(SDPA, 40, backend="efficient", causal=True)
    with pytest.raises(RuntimeError):
        layer(laws.tokens_in(40))
    assert isinstance(layer, Decodable)
    with pytest.raises(RuntimeError):
        layer.decode(laws.tokens_in(40)[:, 0], layer.init_state(laws.B, 10))


@torch.no_grad()
@pytest.mark.parametrize("causal", [False, True])
def test_backends_agree(causal: bool) -> None:
    valid_BT = (torch.arange(40) < 33).expand(laws.B, -1)
    ys = [
        laws.make(SDPA, 40, dtype=torch.float64, kv_heads=2, causal=causal, backend=backend)(
            laws.tokens_in(40).double(), valid_BT
        )[:, :33]
        for backend in ("math", "flash")
    ]
    torch.testing.assert_close(ys[0], ys[1], rtol=1e-9, atol=1e-9)
