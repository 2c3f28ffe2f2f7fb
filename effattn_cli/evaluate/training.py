"""Trains a tiny model once on a task, from a seed, and tests what it has learned.

The first steps use short sequences with low loads, without which recurrent mixers take far longer
to start learning; then lengths increase to the full one. Each load has the same weight in the loss.
Data, schedule and optimizer are the same for every mixer.
"""

import time
from collections import deque
from collections.abc import Callable

import torch
from msgspec.structs import replace
from torch import Generator, Tensor
from torch.nn.functional import cross_entropy

from effattn_cli.attention import Layer
from effattn_cli.evaluate.decoding_state import kept_bytes
from effattn_cli.evaluate.model import TinyModel
from effattn_cli.evaluate.task_specs import Task
from effattn_cli.evaluate.tasks import NOT_ASKED, Batch, draw
from effattn_cli.evaluation import Training
from effattn_cli.measure import modules
from effattn_cli.measure.output_check import NotFinite
from effattn_cli.records import Cell

STEPS = 600
BEGINNING = 0.2  # fraction of the steps
SHORT, LONG = (16, 8, 4), (8, 2, 1, 1)  # divisors of the length, in turn
WARMING = 0.05  # fraction of the steps in which the learning rate rises; it falls in the others
WEIGHT_DECAY = 0.1
BETAS = 0.9, 0.95  # with a shorter memory, Adam adapts when sequences get longer
CLIP = 1.0
TESTED = 256  # sequences at each load
LAST = 4  # batches of full length on which training accuracy is judged
PERFECT = 0.998  # accuracy on these, at every load, at which training stops

Draw = Callable[[Task, int, int, Generator, tuple[int, ...]], Batch]


def train(
    task: Task,
    variant: type[Layer],
    cell: Cell,
    wanted: Training,
    *,
    kind: type[TinyModel] = TinyModel,
    draw: Draw = draw,
) -> Training:
    """The results of the training that `wanted` specifies by its rate and seed; of another model
    or on other sequences, if a benchmark says so.

    Raises:
        Unsupported: the variant cannot do the task.
        NotFinite: the loss became something else than a number.
    """
    start = time.monotonic()
    torch.manual_seed(wanted.seed)
    model = kind(task, variant, cell)
    reached = _learn(model, task, cell, wanted, draw)
    accuracies = test(model, task, cell, wanted.seed, draw)
    return replace(
        wanted,
        accuracies=accuracies,
        steps_to_90=reached,
        seconds=time.monotonic() - start,
    )


def state_bytes(variant: type[Layer], cell: Cell) -> int | None:
    """Size of the decoding state of the trained mixer; None if it cannot decode."""
    return kept_bytes(variant(modules.config(variant, cell)), cell)


def _learn(model: TinyModel, task: Task, cell: Cell, wanted: Training, draw: Draw) -> int | None:
    """Trains, and returns the step from which on nine of ten answers were right."""
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=wanted.rate, betas=BETAS, weight_decay=WEIGHT_DECAY
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=wanted.rate, total_steps=STEPS, pct_start=WARMING
    )
    generator = Generator().manual_seed(wanted.seed)
    longest = int(cell.seq * task.trained)
    loads = tuple(load for load in task.fitting(longest) if load in task.loads)
    recent: deque[list[float]] = deque(maxlen=LAST)
    reached = None
    for step in range(STEPS):
        tokens = min(longest, length(cell.seq, step))
        batch = draw(task, cell.setting.batch, tokens, generator, ())
        asked = batch.labels_BT != NOT_ASKED
        labels_N, load_N = batch.labels_BT[asked], batch.load_BT[asked]
        logits = model(batch)
        loss = (cross_entropy(logits, labels_N, reduction="none") * shares(load_N)).sum()
        if not loss.isfinite():
            raise NotFinite(f"the loss was not finite at step {step + 1}")
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        schedule.step()
        if tokens == longest:
            recent.append(by_load(logits.argmax(-1) == labels_N, load_N, loads))
            if reached is None and _mean(recent) >= 0.9:
                reached = step + 1
            if len(recent) == LAST and min(map(min, recent)) >= PERFECT:
                break
    return reached


def length(tokens: int, step: int) -> int:
    """The length of the sequences of a step."""
    parts = SHORT if step < STEPS * BEGINNING else LONG
    return tokens // parts[step % len(parts)]


def shares(load_N: Tensor) -> Tensor:
    """The weight of each answer in the loss: all loads weigh the same, and the sum is 1."""
    _, which_N, number_L = load_N.unique(return_inverse=True, return_counts=True)
    return 1 / (number_L[which_N] * len(number_L))


def _mean(recent: deque[list[float]]) -> float:
    """The mean over loads and batches; 0 until there are enough batches."""
    if len(recent) < LAST:
        return 0.0
    return sum(map(sum, recent)) / sum(map(len, recent))


def by_load(right_N: Tensor, load_N: Tensor, loads: tuple[int, ...]) -> list[float]:
    """The fraction of right answers at each load."""
    return [right_N[load_N == load].double().mean().item() for load in loads]


@torch.no_grad()
def test(model: TinyModel, task: Task, cell: Cell, seed: int, draw: Draw) -> tuple[float, ...]:
    """The fraction of right answers at each load, on sequences of full length."""
    model.eval()
    generator = Generator().manual_seed(2**32 + seed)  # other sequences than in training
    right, loads = [], []
    for _ in range(len(task.loads) * TESTED // cell.setting.batch):
        batch = draw(task, cell.setting.batch, cell.seq, generator, task.loads)
        asked = batch.labels_BT != NOT_ASKED
        right.append(model(batch).argmax(-1) == batch.labels_BT[asked])
        loads.append(batch.load_BT[asked])
    return tuple(by_load(torch.cat(right), torch.cat(loads), task.loads))
