"""Decoding on a GPU does without the kernels of cuDNN."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.backends import cuda
from torch.nn.attention import SDPBackend, sdpa_kernel

from effattn_cli import catalog, laws
from effattn_cli.attention import Decodable, kernels


def test_cudnn_is_back_afterwards_even_after_an_error() -> None:
    assert cuda.cudnn_sdp_enabled()
    seen = []

    def fails() -> None:
        seen.append(cuda.cudnn_sdp_enabled())
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"), kernels.of_decoding():
        fails()
    assert seen == [False]
    assert cuda.cudnn_sdp_enabled()


def test_who_insists_on_cudnn_gets_it() -> None:
    with sdpa_kernel(SDPBackend.CUDNN_ATTENTION), kernels.of_decoding():
        assert cuda.cudnn_sdp_enabled()


def test_who_does_not_allow_it_does_not_get_it() -> None:
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        with kernels.of_decoding():
            assert not cuda.cudnn_sdp_enabled()
        assert not cuda.cudnn_sdp_enabled()


@pytest.mark.parametrize(("device", "allowed"), [("cpu", True), ("cuda", False)])
def test_a_step_runs_without_cudnn_on_a_gpu_only(
    monkeypatch: pytest.MonkeyPatch, device: str, allowed: bool
) -> None:
    seen = []

    def step(q: Tensor, _k: Tensor, _v: Tensor, state: Any) -> tuple[Tensor, Any]:
        seen.append(cuda.cudnn_sdp_enabled())
        return q, state

    layer = laws.make(catalog.load("softmax", kind=Decodable), 8, causal=True)
    monkeypatch.setattr(layer, "step", step)
    with FakeTensorMode():
        token = torch.empty(laws.B, laws.H, layer.head_dim, device=device)
        layer.mix_step(token, token, token, None)
    assert seen == [allowed]
