"""nystrom-attention and Nystromformer in transformers: the mechanism, projections taken out."""

from typing import Any

from torch import Tensor, nn

from benchmarks.peers.peer import DIM, HEADS, WIDTH, Inputs, Peer

DIFFERS = "starts the pseudo-inverse from one norm for all matrices, the largest"


class Given(nn.Module):
    """Stands for a projection: gives what it was told to, in three parts if asked."""

    made: Tensor
    parts: list[Tensor]

    def forward(self, _: Tensor) -> Any:
        return self.made if hasattr(self, "made") else self

    def chunk(self, *_: Any, **__: Any) -> list[Tensor]:
        return self.parts


def lucidrains(_: int) -> nn.Module:
    from nystrom_attention import NystromAttention  # noqa: PLC0415

    module = NystromAttention(
        DIM, dim_head=WIDTH, heads=HEADS, num_landmarks=64, residual_conv_kernel=33
    )
    module.to_qkv, module.to_out = Given(), nn.Identity()
    return module


def run_lucidrains(module: Any, inputs: Inputs) -> Tensor:
    module.to_qkv.parts = _merged(inputs)
    return _split(module(module.to_qkv.parts[0]))


def huggingface(seq: int) -> nn.Module:
    from transformers import NystromformerConfig  # noqa: PLC0415
    from transformers.models.nystromformer.modeling_nystromformer import (  # noqa: PLC0415
        NystromformerSelfAttention,
    )

    config = NystromformerConfig(
        hidden_size=DIM, num_attention_heads=HEADS, num_landmarks=64, segment_means_seq_len=seq,
        attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    module = NystromformerSelfAttention(config)
    module.query, module.key, module.value = Given(), Given(), Given()
    return module


def run_huggingface(module: Any, inputs: Inputs) -> Tensor:
    module.query.made, module.key.made, module.value.made = _merged(inputs)
    return _split(module(module.query.made)[0])


def _merged(inputs: Inputs) -> list[Tensor]:
    return [x_BHTK.transpose(1, 2).flatten(2) for x_BHTK in inputs]


def _split(x_BTD: Tensor) -> Tensor:
    B, T, _ = x_BTD.shape
    return x_BTD.view(B, T, HEADS, WIDTH).transpose(1, 2)


PEERS = [
    Peer(
        package="nystrom-attention", make=lucidrains, run=run_lucidrains,
        options=(("landmarks", 64), ("kernel", 33)), differs=DIFFERS,
    ),
    Peer(
        package="transformers", make=huggingface, run=run_huggingface,
        options=(("landmarks", 64), ("kernel", 65)), differs=DIFFERS,
    ),
]  # fmt: skip
