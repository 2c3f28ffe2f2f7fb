"""Nystromformer: softmax attention approximated through landmarks."""

from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from effattn_cli.attention import Attention, Card, SurveyRow, Unsupported
from effattn_cli.parts.chunked import CHUNK
from effattn_cli.parts.exact import exact
from effattn_cli.parts.landmarks import filled, segment_means
from effattn_cli.parts.precision import lowest, wide


@final
class Nystromformer(Attention):
    """Approximates the softmax matrix from a few of its rows and columns, those of landmarks.

    With landmarks q', k', which are the means of M segments of q and k, and S(a, b) the softmax of
    a b^T / sqrt K: out = S(q, k') S(q', k')^+ (S(q', k) v) + conv(v), where conv filters each
    head's values along the length (Nystromformer, Xiong et al. 2021, arXiv:2102.03902).
    """

    card = Card(
        title="Nystromformer",
        families=("memory", "downsampling"),
        paper="arXiv:2102.03902",
        year=2021,
        time="N k",
        memory="N",
        causal="never",
        kind="approximates softmax",
        swap="lossy",
        swap_if={"kernel": (0,)},  # the filter over the values is learned
        knobs={"landmarks": "limit"},
        survey=SurveyRow(complexity="kN", decode=False, classes="M+DS"),
        notes=(
            "the pseudo-inverse starts from each matrix's own norms, as the paper has it; in the"
            " authors' code from the largest of the batch, which makes sequences depend on others",
            "six iterations, the paper's number, have often not converged; they run in float32",
            "segments are of real tokens and differ by one in length: padding changes nothing, any"
            " length will do; with no more tokens than landmarks, each token is one",
        ),
    )

    @dataclass(frozen=True, kw_only=True)
    class Config(Attention.Config):
        landmarks: int = 64
        """Segments whose means stand for the queries and keys (m in the paper)."""
        iterations: int = 6
        """Steps towards the pseudo-inverse."""
        kernel: int = 65
        """Width of the filter over the values, in tokens; 0 for none. The authors' default."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        for name in ("landmarks", "iterations"):
            if getattr(config, name) < 1:
                raise Unsupported(f"{name} {getattr(config, name)} is below 1")
        if config.kernel < 0 or (config.kernel and config.kernel % 2 == 0):
            raise Unsupported(f"kernel {config.kernel} is neither 0 nor an odd number")
        self.landmarks, self.iterations = config.landmarks, config.iterations
        weights_HW = torch.empty(self.heads, config.kernel).uniform_(-1, 1)
        self.filter_HW = nn.Parameter(weights_HW * config.kernel**-0.5) if config.kernel else None

    def attend(
        self, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, valid_BT: Tensor | None = None
    ) -> Tensor:
        M = min(self.landmarks, q_BHTK.shape[2])
        q_BHMK, k_BHMK = (segment_means(x, M, valid_BT) for x in (q_BHTK, k_BHTK))
        filled_BM = None if valid_BT is None else filled(valid_BT, M)
        inverse_BHMM = _pseudo_inverse(_kernel(q_BHMK, k_BHMK, filled_BM), self.iterations)
        summary_BHMK = exact(q_BHMK, k_BHTK, v_BHTK, valid_BT)
        # Multiplied from the right: S(q, k') is part of plain attention and never materialised.
        summary_BHMK = (inverse_BHMM @ summary_BHMK.to(inverse_BHMM.dtype)).to(v_BHTK.dtype)
        out_BHTK = exact(q_BHTK, k_BHMK, summary_BHMK, filled_BM)
        if self.filter_HW is None:
            return out_BHTK
        v_BHTK = v_BHTK if valid_BT is None else v_BHTK * valid_BT[:, None, :, None]
        return _filtered(v_BHTK, self.filter_HW) + out_BHTK


def _filtered(v_BHTK: Tensor, filter_HW: Tensor) -> Tensor:
    """Each head's values, convolved along the length."""
    learns = torch.is_grad_enabled() and (v_BHTK.requires_grad or filter_HW.requires_grad)
    filtered: Any = _Filtered.apply if learns else _slid
    return filtered(v_BHTK, filter_HW)


def _slid(v_BHTK: Tensor, filter_HW: Tensor) -> Tensor:
    """In channels-last memory, which a CPU's kernel takes without a copy."""
    H, K = v_BHTK.shape[1], v_BHTK.shape[3]
    v_BDxT = v_BHTK.transpose(1, 2).flatten(2).mT.unsqueeze(2)
    filter_DxxW = filter_HW.repeat_interleave(K, dim=0)[:, None, None]
    around = (0, filter_HW.shape[1] // 2)
    y_BDxT = conv2d(v_BDxT, filter_DxxW, padding=around, groups=H * K)
    return torch.unflatten(y_BDxT.squeeze(2), 1, (H, K)).mT


class _Filtered(torch.autograd.Function):
    """`_slid` with gradients; torch's own backward has no fast CPU kernel."""

    @staticmethod
    def forward(ctx: Any, v_BHTK: Tensor, filter_HW: Tensor) -> Tensor:
        ctx.save_for_backward(v_BHTK, filter_HW)
        return _slid(v_BHTK, filter_HW)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        v_BHTK, filter_HW = ctx.saved_tensors
        return _slid(grads[0], filter_HW.flip(1)), _correlated(grads[0], v_BHTK, filter_HW.shape[1])


def _correlated(y_BHTK: Tensor, v_BHTK: Tensor, width: int) -> Tensor:
    """The products of y with v shifted by -W/2 .. W/2, summed over all but heads and shifts.

    As one matrix product per head, of blocks of C tokens with all S in reach; some go unused.
    """
    H, T = y_BHTK.shape[1:3]
    C, around = min(CHUNK, T), width // 2
    S, end = C + width - 1, -T % C
    y_HCx = pad(y_BHTK, (0, 0, 0, end)).unfold(2, C, C).permute(1, 4, 0, 2, 3).flatten(2)
    v_HxS = pad(v_BHTK, (0, 0, around, around + end)).unfold(2, S, C).transpose(0, 1).flatten(1, 3)
    met_HCS = y_HCx @ v_HxS
    # Token c meets shift w in column c + w, which is column w once the rows are one longer.
    return pad(met_HCS.flatten(1), (0, C)).view(H, C, S + 1)[..., :width].sum(1)


def _kernel(q_BHMK: Tensor, k_BHMK: Tensor, filled_BM: Tensor | None) -> Tensor:
    """S(q', k') in at least float32; rows and columns of empty landmarks are 0."""
    scores_BHMM = wide(q_BHMK) @ wide(k_BHMK).mT * q_BHMK.shape[-1] ** -0.5
    if filled_BM is None:
        return scores_BHMM.softmax(-1)
    scores_BHMM = scores_BHMM.masked_fill(~filled_BM[:, None, None], lowest(scores_BHMM))
    return scores_BHMM.softmax(-1) * filled_BM[:, None, :, None]


def _pseudo_inverse(a_BHMM: Tensor, iterations: int) -> Tensor:
    """Z <- Z (13 I - AZ (15 I - AZ (7 I - AZ))) / 4 from Z = A^T / (|A|_1 |A|_inf)."""
    a = a_BHMM.flatten(0, 1)
    # The rows of A sum to 1, so |A|_inf is 1.
    z = a.mT / a.sum(1).amax(-1).clamp(min=0.5)[:, None, None]  # at least 1; 0 without tokens
    one = torch.eye(a.shape[-1], dtype=a.dtype, device=a.device).expand_as(a)
    for _ in range(iterations):
        az = a @ z
        inner = torch.baddbmm(one, az, 7 * one - az, beta=15, alpha=-1)
        z = z @ torch.baddbmm(one, az, inner, beta=13 / 4, alpha=-1 / 4)
    return z.view_as(a_BHMM)
