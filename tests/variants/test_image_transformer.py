import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.attention import Attention, Decodable
from effattn_cli.errors import Unsupported
from tests.decoding import equals_the_forward
from tests.equality import mean_error
from tests.references.image_transformer import reference
from tests.references.sdpa import reference as exact

ImageTransformer = catalog.load("image-transformer")


def image(tokens: int, **options: int) -> Attention:
    return laws.make(ImageTransformer, tokens, dtype=torch.float64, causal=True, **options)


OPTIONS = [
    {"block": 16, "memory": 16},
    {"block": 16, "memory": 0},
    {"block": 8, "memory": 21},
    {"block": 16, "memory": 5},
    {"block": 200, "memory": 50},
    {"block": 8, "across": 2},
    {"block": 7, "across": 5},
    {"block": 64, "across": 3},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_equals_its_reference(options: dict[str, int]) -> None:
    layer = image(150, **options)
    q, k, v = (x.detach().requires_grad_() for x in layer.project(laws.tokens_in(150).double()))
    outs = layer.attend(q, k, v), reference(layer, q, k, v, None)
    torch.testing.assert_close(outs[0], outs[1], rtol=1e-9, atol=1e-9)
    grads = [torch.autograd.grad(out.square().sum(), (q, k, v)) for out in outs]
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("query", "options", "keys"),
    [
        (7, {"block": 4, "memory": 3}, [1, 2, 3, 4, 5, 6, 7]),  # a block's last query sees most,
        (8, {"block": 4, "memory": 3}, [5, 6, 7, 8]),  # and its first one least
        # Blocks of 2 in rows of 3: tokens 8 and 9 are the block in the middle of the second row.
        (8, {"block": 2, "across": 3}, [0, 1, 2, 3, 4, 5, 6, 7, 8]),
        (6, {"block": 2, "across": 3}, [0, 1, 2, 3, 6]),
        (11, {"block": 2, "across": 3}, [2, 3, 4, 5, 8, 9, 10, 11]),
    ],
)
def test_a_query_weighs_these_keys_once_each(
    query: int, options: dict[str, int], keys: list[int]
) -> None:
    layer = image(20, dim=80, **options)
    same = torch.zeros(1, 4, 20, 20).double()
    weights_T = layer.attend(same, same, torch.eye(20).double().expand(1, 4, -1, -1))[0, 0, query]
    want_T = torch.zeros(20).double()
    want_T[keys] = 1 / len(keys)
    torch.testing.assert_close(weights_T, want_T)


def test_becomes_exact_as_the_memory_grows() -> None:
    errors = []
    for memory in (0, 32, 100, 200):
        layer = image(200, block=16, memory=memory)
        errors.append(mean_error(layer, exact))
    assert errors == sorted(errors, reverse=True)
    assert errors[2] > 1e-4
    assert errors[3] < 1e-12


@torch.no_grad()
@pytest.mark.parametrize("options", OPTIONS)
def test_decoding_equals_the_forward(options: dict[str, int]) -> None:
    layer = image(90, **options)
    equals_the_forward(layer, 90)


def test_what_decoding_keeps_does_not_grow_with_the_context() -> None:
    layer = image(40, block=6, memory=9)
    assert isinstance(layer, Decodable)
    for context in (0, 100_000):
        assert layer.init_state(3, context).k_BGRK.shape == (3, 4, 15, 16)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"block": 0}, "block 0 is below 1"),
        ({"memory": -1}, "memory -1 is below 0"),
        ({"across": 1}, "across 1 is below 2"),
    ],
)
def test_refuses(options: dict[str, int], message: str) -> None:
    with pytest.raises(Unsupported, match=f"^{message}$"):
        image(40, **options)
