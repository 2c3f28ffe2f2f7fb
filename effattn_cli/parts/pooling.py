"""Keys and values pooled over stretches of the length: means, maxima, learned mixtures.

A stretch is S tokens; one starts every `stride` tokens, Z in all, and they overlap if S is larger.
Padding, and positions beyond the end, are zero and count for nothing. J = S K channels of a
flattened stretch.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from effattn_cli.attention import Decodable
from effattn_cli.parts.precision import lowest


def stretches(
    x_BHTK: Tensor, size: int, stride: int | None = None, valid_BT: Tensor | None = None
) -> Tensor:
    """The tokens of each stretch, (B, H, Z, S, K); without a stride they do not overlap."""
    if valid_BT is not None:
        x_BHTK = x_BHTK * valid_BT[:, None, :, None]
    return _cut(x_BHTK, size, stride or size, dim=2)


def present(
    tokens: int,
    size: int,
    stride: int | None = None,
    valid_BT: Tensor | None = None,
    *,
    like: Tensor,
) -> Tensor:
    """Which of them are real tokens, (1 or B, 1, Z, S), on the device of `like`."""
    if valid_BT is None:
        valid_BT = torch.ones(1, tokens, dtype=torch.bool, device=like.device)
    return _cut(valid_BT, size, stride or size, dim=1).unsqueeze(1)


def mean(x_BHZSK: Tensor, there_BxZS: Tensor) -> Tensor:
    count_BxZ1 = there_BxZS.sum(-1, keepdim=True).clamp(min=1)
    return x_BHZSK.sum(3) / count_BxZ1


def maximum(x_BHZSK: Tensor, there_BxZS: Tensor) -> Tensor:
    """The maximum per channel."""
    top_BHZK = x_BHZSK.masked_fill(~there_BxZS.unsqueeze(-1), -torch.inf).amax(3)
    return top_BHZK.masked_fill(~there_BxZS.any(-1, keepdim=True), 0)


def mixture(x_BHZSK: Tensor, there_BxZS: Tensor, logits_BHZRS: Tensor) -> Tensor:
    """R weighted sums of a stretch's tokens, (B, H, Z, R, K), by a softmax over the real ones."""
    logits_BHZRS = logits_BHZRS.masked_fill(~there_BxZS.unsqueeze(3), lowest(logits_BHZRS))
    return logits_BHZRS.softmax(-1) @ x_BHZSK


@dataclass(frozen=True)
class NearAndMixed:
    """Decoding state: mixtures, filled downwards from slot `far`, and a window from it upwards.

    This way all filled slots are contiguous. Also the sums for the next mixture, of [x, 1] weighted
    by exp(logit - top), in at least float32: in bfloat16 a long sum stops growing.
    """

    k_BHRK: Tensor
    v_BHRK: Tensor
    sums_BHE: Tensor
    top_BH1: Tensor
    far: int
    length: int

    @classmethod
    def init(
        cls, layer: "Decodable[NearAndMixed]", batch: int, context: int, *, far: int, near: int
    ) -> "NearAndMixed":
        """Random content; room for `far` mixtures and `near` tokens of the window."""
        shape = (batch, layer.heads, far + near, layer.head_dim)
        k_BHRK, v_BHRK = (layer.blank(*shape, random=True) for _ in "kv")
        sums_BHE = layer.blank(batch, layer.heads, 2 * layer.head_dim + 1)
        sums_BHE = sums_BHE.to(torch.promote_types(sums_BHE.dtype, torch.float32))
        return cls(k_BHRK, v_BHRK, sums_BHE, sums_BHE[..., :1] - torch.inf, far, context)

    def add(self, x_BHK: Tensor, logit_BH1: Tensor) -> "NearAndMixed":
        """Adds a token to the sums."""
        top_BH1 = torch.maximum(self.top_BH1, logit_BH1)
        row_BHE = pad(x_BHK, (0, 1), value=1.0) * (logit_BH1 - top_BH1).exp()
        sums_BHE = self.sums_BHE * (self.top_BH1 - top_BH1).exp() + row_BHE
        return replace(self, sums_BHE=sums_BHE, top_BH1=top_BH1, length=self.length + 1)

    def close(self) -> "tuple[Tensor, NearAndMixed]":
        """The mixture of the tokens in the sums, and the state with the sums reset."""
        mixed_BHE = (self.sums_BHE[..., :-1] / self.sums_BHE[..., -1:]).to(self.k_BHRK.dtype)
        empty = torch.zeros_like(self.sums_BHE), torch.full_like(self.top_BH1, -torch.inf)
        return mixed_BHE, replace(self, sums_BHE=empty[0], top_BH1=empty[1])


def convolved(x_BHZSK: Tensor, weight_HJE: Tensor) -> Tensor:
    """A separate linear map per head of its stretches, (B, H, Z, E): a strided convolution."""
    return x_BHZSK.flatten(3) @ weight_HJE


def by_place(x_BHTK: Tensor, size: int) -> Tensor:
    """Makes the tokens at the same position of every stretch a separate head, (B, H S, Z, K).

    If all queries of a stretch see the same keys, no mask over tokens is needed then.
    """
    return stretches(x_BHTK, size).transpose(2, 3).flatten(1, 2)


def in_order(x_BFZK: Tensor, size: int, tokens: int) -> Tensor:
    """The inverse of `by_place`."""
    B, F, Z, K = x_BFZK.shape
    x_BHSZK = x_BFZK.view(B, F // size, size, Z, K)
    return x_BHSZK.transpose(2, 3).flatten(2, 3)[:, :, :tokens]


def _cut(x: Tensor, size: int, stride: int, dim: int) -> Tensor:
    """Stretches along `dim`, by slices and a `cat`: the gradient of `unfold` is slow."""
    tokens, looks = x.shape[dim], -(-size // stride)
    count = -(-tokens // stride)
    room = (count + looks - 1) * stride - tokens
    x = pad(x, (0, 0) * (x.ndim - 1 - dim) + (0, room)) if room else x
    steps = x.reshape(*x.shape[:dim], -1, stride, *x.shape[dim + 1 :])
    if looks == 1:
        return steps.narrow(dim + 1, 0, size)
    parts = [
        steps.narrow(dim, i, count).narrow(dim + 1, 0, min(stride, size - i * stride))
        for i in range(looks)
    ]
    return torch.cat(parts, dim=dim + 1)
