import pytest
import torch

from effattn_cli import catalog, laws
from effattn_cli.attention import Decodable
from effattn_cli.parts import chunked
from tests.equality import equals_its_reference
from tests.references.linear_transformer import reference

LinearTransformer = catalog.load("linear-transformer")


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("pieces", [False, True])
@pytest.mark.parametrize("tokens", [64, 128, 300])
def test_equals_its_reference_across_chunks_and_pieces(
    monkeypatch: pytest.MonkeyPatch, tokens: int, pieces: bool, causal: bool, padded: bool
) -> None:
    monkeypatch.setattr(chunked, "pieces_pay", lambda _: pieces)
    monkeypatch.setattr(chunked, "CACHED", 1)
    layer = laws.make(LinearTransformer, tokens, dtype=torch.float64, causal=causal)
    equals_its_reference(layer, reference, padded=padded)


@torch.no_grad()
@pytest.mark.parametrize("pieces", [False, True])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_long_sums_neither_stand_still_nor_overflow(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, causal: bool, pieces: bool
) -> None:
    monkeypatch.setattr(chunked, "pieces_pay", lambda _: pieces)
    monkeypatch.setattr(chunked, "CACHED", 1)
    monkeypatch.setattr(chunked, "CHUNK", 16)
    layer = laws.make(LinearTransformer, 10_000, dtype=dtype, causal=causal)
    q, k = torch.full((2, 1, 4, 10_000, 16), 10, dtype=dtype)
    v = torch.linspace(0, 1, 10_000)[:, None].expand(1, 4, -1, 16).to(dtype)
    assert layer.attend(q, k, v)[0, 0, -1].tolist() == pytest.approx([0.5] * 16, rel=1e-2)


def test_decoding_keeps_as_much_after_any_context() -> None:
    layer = laws.make(LinearTransformer, 10_000, causal=True)
    assert isinstance(layer, Decodable)
    sizes = {layer.init_state(2, context).sum_BHEF.numel() for context in (0, 1, 9_999)}
    assert sizes == {2 * 4 * (16 + 1) * 16}
