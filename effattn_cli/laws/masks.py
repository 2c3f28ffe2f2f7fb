"""Which tokens an output may depend on."""

import torch
from torch import Tensor

from effattn_cli.attention import Layer
from effattn_cli.laws.law import B, Broken, close, law, make, modes, require, tokens_in


@law
@torch.no_grad()
def padding(variant: type[Layer]) -> str | None:
    """What stands at padded positions changes nothing at real ones."""
    if not variant.card.padding:
        return "the card says that it takes no padding"
    valid_BT = torch.arange(90) < torch.tensor([[90], [61]])
    for causal in modes(variant):
        layer = make(variant, 90, dtype=torch.float64, causal=causal)
        x = tokens_in(90, dtype=torch.float64)
        noise = torch.where(valid_BT[..., None], x, 5 + 3 * tokens_in(90, dtype=x.dtype, seed=2))
        y, z = layer(x, valid_BT), layer(noise, valid_BT)
        require(bool(y.isfinite().all()), "padding makes the output not finite")
        keep_BT = layer.output_mask(valid_BT)
        close(y[keep_BT], z[keep_BT], "an output at a real position changes with the padding")
        everything = layer(x, torch.ones_like(valid_BT))
        close(everything, layer(x), "a mask without padding changes the output")
    return None


@law
def empty_sequences(variant: type[Layer]) -> str | None:
    """A sequence of nothing but padding gives something finite, and spoils no weight's gradient."""
    if not variant.card.padding:
        return "the card says that it takes no padding"
    valid_BT = torch.ones(B, 40, dtype=torch.bool) & torch.tensor([[True], [False]])
    for causal in modes(variant):
        layer = make(variant, 40, dtype=torch.float64, causal=causal)
        y: Tensor = layer(tokens_in(40, dtype=torch.float64), valid_BT)
        require(bool(y.isfinite().all()), "a sequence without a token is not finite")
        weights = [weight for weight in layer.parameters() if weight.requires_grad]
        for grad in torch.autograd.grad(y[0].sum(), weights, allow_unused=True):
            fine = grad is None or bool(grad.isfinite().all())
            require(fine, "a sequence without a token makes a weight's gradient not finite")
    return None


@law
@torch.no_grad()
def causality(variant: type[Layer]) -> str | None:
    """Changing token t leaves the outputs before it bit-equal, and changes the one at t."""
    if True not in modes(variant):
        return "the card says that it is never causal"
    layer, x = make(variant, 300, causal=True), tokens_in(300)
    y = layer(x)
    for t in (0, 1, 63, 128, 150, 257, 299):
        changed = x.clone()
        changed[:, t] += 1
        z = layer(changed)
        early = (y[:, :t] != z[:, :t]).any(-1).any(0).nonzero()
        if early.numel():
            raise Broken(
                f"output at position {int(early[0])} changes when token {t} changes,"
                " but the card says causal"
            )
        require(not torch.equal(y[:, t], z[:, t]), f"output at position {t} ignores its token")
    return None
