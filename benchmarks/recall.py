"""Whether recall in its published form orders mixers as `effattn evaluate --task recall` does.

    python -m benchmarks.recall [--seeds 1] [-v sdpa,gla]

In the published form (Zoology, Arora et al. 2023, arXiv:2312.04927) a key and its value are two
tokens, one after the other, and every mixer has a short convolution before it, which brings them
together. Model, training and test are otherwise those of `effattn evaluate`. Prints the accuracy by
pairs, the mean over the seeds at the best of three learning rates.
"""

import argparse
import os
from dataclasses import replace
from statistics import fmean

import torch
from torch import Generator, Tensor, nn

from effattn_cli import catalog
from effattn_cli.attention import Layer
from effattn_cli.catalog import Catalog
from effattn_cli.evaluate import training
from effattn_cli.evaluate.model import TinyModel
from effattn_cli.evaluate.task_specs import TASKS, Task
from effattn_cli.evaluate.tasks import NOT_ASKED, Batch
from effattn_cli.evaluation import Training
from effattn_cli.plan.evaluation_request import EvaluationRequest
from effattn_cli.plan.mixers import mixers
from effattn_cli.plan.variant_choices import select
from effattn_cli.records import Cell

MIXERS = "sdpa,based,deltanet,gated-deltanet,mamba2,linear-transformer,gla"
RATES = 0.003, 0.01, 0.03
KERNEL = 4
#: Two tokens for a pair, and as much room for questions.
TASK = replace(TASKS["recall"], loads=(4, 8, 16, 32), easy=(1, 2), room=4)


class Published(TinyModel):
    """One fixed embedding for a token, and a short causal convolution with a residual."""

    def __init__(self, task: Task, variant: type[Layer], cell: Cell) -> None:
        super().__init__(task, variant, cell)
        dim = cell.setting.dim
        self.tokens_SE: Tensor
        self.register_buffer("tokens_SE", torch.randn(1 + task.keys + task.values, dim))
        self.tokens_SE[0] = 0
        self.norm = nn.LayerNorm(dim)
        self.convolution = nn.Conv1d(dim, dim, KERNEL, groups=dim, padding=KERNEL - 1)

    def embed(self, batch: Batch) -> Tensor:
        x_BTD = self.tokens_SE[batch.keys_BT]
        y_BDT = self.convolution(self.norm(x_BTD).mT)[..., : x_BTD.shape[1]]
        return x_BTD + y_BDT.mT


def draw(
    task: Task, batch: int, tokens: int, generator: Generator, loads: tuple[int, ...]
) -> Batch:
    """The pairs first, as key, value, key, value; then each key once more, at random positions."""
    chosen = loads or task.fitting(tokens)
    loads_B = [chosen[index % len(chosen)] for index in range(batch)]
    tokens_BT = torch.zeros(batch, tokens, dtype=torch.long)
    labels_BT = torch.full((batch, tokens), NOT_ASKED)
    for row, load in enumerate(loads_B):
        keys_P = torch.randperm(task.keys, generator=generator)[:load]
        values_P = torch.randint(task.values, (load,), generator=generator)
        tokens_BT[row, 0 : 2 * load : 2] = 1 + keys_P
        tokens_BT[row, 1 : 2 * load : 2] = 1 + task.keys + values_P
        asked_P = 2 * load + torch.randperm(tokens - 2 * load, generator=generator)[:load]
        tokens_BT[row, asked_P] = 1 + keys_P
        labels_BT[row, asked_P] = values_P
    load_BT = torch.tensor(loads_B)[:, None].expand(-1, tokens)
    return Batch(
        keys_BT=tokens_BT, values_BT=torch.zeros_like(tokens_BT), labels_BT=labels_BT,
        load_BT=load_BT,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("-v", "--variants", default=MIXERS)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    os.nice(5)
    known = Catalog()
    print(f"{'':24} {' '.join(f'{load:4}' for load in TASK.loads)}  rate", flush=True)
    for cell in mixers(EvaluationRequest(), select(asked.variants.split(","), known), known):
        rate, means = max(
            ((rate, _accuracies(cell, rate, asked.seeds)) for rate in RATES),
            key=lambda found: fmean(found[1]),
        )
        shares = " ".join(f"{mean:4.2f}" for mean in means)
        print(f"{cell.label:24} {shares}  {rate:g}", flush=True)


def _accuracies(cell: Cell, rate: float, seeds: int) -> list[float]:
    """At each load, the mean over the seeds."""
    variant = catalog.load(cell.variant, kind=Layer)
    runs = [
        training.train(
            TASK, variant, cell, Training(rate=rate, seed=seed), kind=Published, draw=draw
        )
        for seed in range(seeds)
    ]
    return [fmean(shares) for shares in zip(*(run.accuracies for run in runs), strict=True)]


if __name__ == "__main__":
    main()
