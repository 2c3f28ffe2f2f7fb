"""The sequences of the synthetic tasks: freshly generated from a seed, never repeated.

Each token holds a key and a value, so that one layer of a mixer can solve a task without a
convolution before it. Key 0 and value 0 mean that a token has none.

B sequences of T tokens; R positions of the first half.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from effattn_cli.evaluate.task_specs import Task

NOT_ASKED = -1


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Indices of keys and values, (B, T). A label is the class that is asked for at a token, or -1;
    the load says how much has to be remembered for that answer.
    """

    keys_BT: Tensor
    values_BT: Tensor
    labels_BT: Tensor
    load_BT: Tensor


def draw(
    task: Task, batch: int, tokens: int, generator: Generator, loads: tuple[int, ...] = ()
) -> Batch:
    """Sequences with these loads in turn; by default with all loads that fit."""
    chosen = torch.tensor(loads or task.fitting(tokens))
    loads_B = chosen.repeat(-(-batch // len(chosen)))[:batch]
    return SEQUENCES[task.name](task, loads_B, tokens, generator)


def _recall(task: Task, loads_B: Tensor, tokens: int, generator: Generator) -> Batch:
    """Which value came with a key."""
    return _pairs(task, loads_B, tokens, generator, times=1)


def _update(task: Task, loads_B: Tensor, tokens: int, generator: Generator) -> Batch:
    """Which value came last with a key; each key came twice."""
    return _pairs(task, loads_B, tokens, generator, times=2)


def _pairs(task: Task, loads_B: Tensor, tokens: int, generator: Generator, times: int) -> Batch:
    """Pairs of a key and a value in the first half, questions in the second: each key once.

    Both are at random positions of their half, in a random order; the other tokens are empty.
    """
    B, half = len(loads_B), tokens // 2
    keys_BK = 1 + _orders(B, max(task.keys, half), generator).remainder(task.keys)
    pair_BR = _scattered(times * loads_B, half, generator)
    asked_BR = _scattered(loads_B, half, generator)
    is_pair_BR, is_asked_BR = pair_BR >= 0, asked_BR >= 0
    which_BR = pair_BR.clamp(0) % loads_B[:, None]
    values_BR = torch.randint(1, task.values + 1, (B, half), generator=generator) * is_pair_BR
    position_BR = torch.where(is_pair_BR, torch.arange(half), -1)
    last_BR = torch.full_like(position_BR, -1).scatter_reduce(1, which_BR, position_BR, "amax")
    answer_BR = values_BR.gather(1, last_BR.gather(1, asked_BR.clamp(0)).clamp(0))
    key_BR = keys_BK.gather(1, which_BR) * is_pair_BR
    question_BR = keys_BK.gather(1, asked_BR.clamp(0)) * is_asked_BR
    nothing_BR = torch.zeros_like(values_BR)
    return Batch(
        keys_BT=torch.cat([key_BR, question_BR], dim=1),
        values_BT=torch.cat([values_BR, nothing_BR], dim=1),
        labels_BT=torch.cat([nothing_BR, answer_BR * is_asked_BR], dim=1) - 1,
        load_BT=loads_B[:, None].expand(-1, 2 * half),
    )


def _parity(task: Task, loads_B: Tensor, tokens: int, generator: Generator) -> Batch:  # noqa: ARG001
    """Whether the number of ones so far is odd, after every bit.

    The load is the number of bits so far, rounded up to a power of two: 64 stands for 33 to 64.
    """
    bits_BT = torch.randint(0, 2, (len(loads_B), tokens), generator=generator)
    load_T = torch.tensor([1 << (bits - 1).bit_length() for bits in range(1, tokens + 1)])
    return Batch(
        keys_BT=torch.zeros_like(bits_BT),
        values_BT=bits_BT + 1,
        labels_BT=bits_BT.cumsum(1) % 2,
        load_BT=load_T.expand(len(loads_B), -1),
    )


def _orders(rows: int, columns: int, generator: Generator) -> Tensor:
    """The numbers from 0 on, in a random order in each row."""
    return torch.rand(rows, columns, generator=generator).argsort(-1)


def _scattered(number_B: Tensor, positions: int, generator: Generator) -> Tensor:
    """The numbers from 0 to `number_B` at random positions of each row; -1 at the others."""
    order_BR = _orders(len(number_B), positions, generator)
    return torch.where(order_BR < number_B[:, None], order_BR, NOT_ASKED)


#: Takes the task, the load of each sequence, the number of tokens, and a random generator.
Sequences = Callable[[Task, Tensor, int, Generator], Batch]
SEQUENCES: Mapping[str, Sequences] = {"recall": _recall, "update": _update, "parity": _parity}
