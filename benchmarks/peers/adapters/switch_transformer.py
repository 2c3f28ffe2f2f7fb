"""transformers: the sparse feed-forward of Switch Transformers, as many seats an expert."""

from typing import Any

from torch import Tensor, nn

from benchmarks.peers.peer import DIM, Peer

EXPERTS, SHARE = 8, 1.25


def make(seq: int) -> nn.Module:
    from transformers import SwitchTransformersConfig  # noqa: PLC0415
    from transformers.models.switch_transformers import modeling_switch_transformers as theirs  # noqa: PLC0415

    config = SwitchTransformersConfig(
        d_model=DIM, d_ff=4 * DIM, num_experts=EXPERTS, dropout_rate=0.0, dense_act_fn="relu",
        expert_capacity=int(SHARE * seq / EXPERTS), router_jitter_noise=0.0,
    )  # fmt: skip
    return theirs.SwitchTransformersSparseMLP(config)


def run(module: Any, inputs: Any) -> Tensor:
    return module(*inputs)


def copy(ours: Any, theirs: Any) -> None:
    theirs.router.classifier.weight.data = ours.router_DE.data.mT.contiguous()
    for e in range(EXPERTS):
        expert = theirs.experts[f"expert_{e}"]
        expert.wi.weight.data = ours.experts.up_EDF.data[e].mT.contiguous()
        expert.wo.weight.data = ours.experts.down_EFD.data[e].mT.contiguous()


PEERS = [
    Peer(
        package="transformers", make=make, run=run, scope="layer", copy=copy,
        options=(
            ("experts", EXPERTS), ("capacity", SHARE), ("eval_capacity", SHARE), ("jitter", 0.0),
        ),
    )
]  # fmt: skip
