import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.attention import Attention, Decodable
from effattn_cli.errors import Unsupported
from tests.decoding import equals_the_forward
from tests.equality import equals_its_reference
from tests.references.sdpa import reference as exact
from tests.references.sparse_transformer import reference

SparseTransformer = catalog.load("sparse-transformer")


def sparse(tokens: int, **options: int | str) -> Attention:
    return laws.make(SparseTransformer, tokens, dtype=torch.float64, causal=True, **options)


OPTIONS = [
    {"pattern": "strided", "stride": 8},
    {"pattern": "strided", "stride": 1},
    {"pattern": "strided", "stride": 200},
    {"pattern": "fixed", "stride": 4, "summary": 1},  # 38 blocks: chunks of several
    {"pattern": "fixed", "stride": 16, "summary": 5},
    {"pattern": "fixed", "stride": 3, "summary": 3},
    {"pattern": "fixed", "stride": 200},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_equals_its_reference(options: dict[str, int | str]) -> None:
    layer = sparse(150, **options)
    q, k, v = (x.detach().requires_grad_() for x in layer.project(laws.tokens_in(150).double()))
    outs = layer.attend(q, k, v), reference(layer, q, k, v, None)
    torch.testing.assert_close(outs[0], outs[1], rtol=1e-9, atol=1e-9)
    grads = [torch.autograd.grad(out.square().sum(), (q, k, v)) for out in outs]
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("pattern", "head", "keys"),
    [
        ("fixed", 0, [2, 3, 6, 7, 8, 9, 10]),
        ("fixed", 1, [0, 1, 4, 5, 8, 9, 10]),
        ("fixed", 2, [2, 3, 6, 7, 8, 9, 10]),  # runs are taken in turn
        ("strided", 0, [2, 6, 7, 8, 9, 10]),
    ],
)
def test_query_10_weighs_these_keys_once_each(pattern: str, head: int, keys: list[int]) -> None:
    layer = sparse(20, dim=80, pattern=pattern, stride=4, summary=2)
    same = torch.zeros(1, 4, 20, 20).double()
    weights_T = layer.attend(same, same, torch.eye(20).double().expand(1, 4, -1, -1))[0, head, 10]
    want_T = torch.zeros(20).double()
    want_T[keys] = 1 / len(keys)
    torch.testing.assert_close(weights_T, want_T)


@pytest.mark.parametrize("options", [{"stride": 60}, {"stride": 6, "summary": 6},
                                     {"pattern": "strided", "stride": 60},
                                     {"pattern": "strided", "stride": 1}])  # fmt: skip
def test_is_exact_attention_where_the_sets_hold_all(options: dict[str, int | str]) -> None:
    layer = sparse(60, **options)
    equals_its_reference(layer, exact)


@torch.no_grad()
@pytest.mark.parametrize("options", OPTIONS)
def test_decoding_equals_the_forward(options: dict[str, int | str]) -> None:
    layer = sparse(50, **options)
    equals_the_forward(layer, 50)


def test_fixed_decoding_keeps_a_block_and_the_summaries_only() -> None:
    layer = sparse(1000, stride=100, summary=4)
    assert isinstance(layer, Decodable)
    assert layer.init_state(3, 999).k_BGRK.shape == (3, 4, 100 + 10 * 4, 16)


@pytest.mark.parametrize(("tokens", "stride"), [(1, 1), (1024, 32), (4096, 64), (12288, 128)])
def test_the_stride_is_a_power_of_2_near_the_root_of_the_length(tokens: int, stride: int) -> None:
    assert sparse(tokens).stride == stride


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pattern": "dilated"}, "pattern 'dilated' is neither fixed nor strided"),
        ({"stride": 0}, "stride 0 is below 1"),
        ({"summary": 0}, "summary 0 is below 1"),
    ],
)
def test_refuses(options: dict[str, int | str], message: str) -> None:
    with pytest.raises(Unsupported, match=f"^{message}$"):
        sparse(40, **options)
