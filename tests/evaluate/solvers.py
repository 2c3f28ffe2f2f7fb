"""The synthetic tasks solved token by token, by code that shares nothing with what draws them."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn, zeros

from effattn_cli.evaluate.tasks import NOT_ASKED, Batch

Answers = dict[int, int]  # by the place of the token after which it is asked


def last_value(keys: Sequence[int], values: Sequence[int]) -> Answers:
    """A key with a value is remembered, one without is a question."""
    known: dict[int, int] = {}
    answers: Answers = {}
    for place, (key, value) in enumerate(zip(keys, values, strict=True)):
        if key and value:
            known[key] = value - 1
        elif key:
            answers[place] = known[key]
    return answers


def first_value(keys: Sequence[int], values: Sequence[int]) -> Answers:
    """As one that does not write anew what it knows."""
    known: dict[int, int] = {}
    answers: Answers = {}
    for place, (key, value) in enumerate(zip(keys, values, strict=True)):
        if key and value:
            known.setdefault(key, value - 1)
        elif key:
            answers[place] = known[key]
    return answers


def parity(_: Sequence[int], values: Sequence[int]) -> Answers:
    """A state of one bit; value 2 is a one."""
    state, answers = 0, {}
    for place, value in enumerate(values):
        state ^= value == 2
        answers[place] = int(state)
    return answers


SOLVERS: dict[str, Callable[[Sequence[int], Sequence[int]], Answers]] = {
    "recall": last_value,
    "update": last_value,
    "parity": parity,
}


class Solver(nn.Module):
    """Stands in for a tiny model: it gives the answers of a solver."""

    def __init__(self, name: str, classes: int) -> None:
        super().__init__()
        self.solve, self.classes = SOLVERS[name], classes

    def forward(self, batch: Batch) -> Tensor:
        asked_BT = batch.labels_BT != NOT_ASKED
        logits_NC = zeros(int(asked_BT.sum()), self.classes)
        number = 0
        for keys, values in zip(batch.keys_BT.tolist(), batch.values_BT.tolist(), strict=True):
            for answer in self.solve(keys, values).values():
                logits_NC[number, answer] = 1
                number += 1
        return logits_NC
