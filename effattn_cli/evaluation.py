"""What an evaluation file holds: how good a variant is, beside what a profile says that it costs.

Evidence is of a cell, as a measurement is. There are two kinds of it, and neither is a score:
fidelity, how near a variant comes to exact attention on the same inputs, without training; and
ability, what a tiny model with this variant learns to do.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta, Struct

from effattn_cli.cards import Variant
from effattn_cli.machine import Amount, Count, Machine, Positive, Size
from effattn_cli.records import Cell, Cost, Failure

Task = Literal["recall", "update", "parity"]

Share = Annotated[float, Meta(ge=0, le=1)]
Cosine = Annotated[float, Meta(ge=-1, le=1)]

#: Of a test sequence of these tasks, unless longer ones are asked for.
TOKENS = 128

#: The regime of tensors that the user gave.
OWN = "own"
#: That with the statistics of a trained model's heads.
CAPTURED = "captured"


class Fidelity(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How near a variant's core comes to exact softmax attention on the same q, k and v.

    Every tuple of samples has one for each head of each draw, the heads of the first draw first.
    """

    regime: str  # of q, k and v; `own`: they came from a file
    data: str | None = None  # a hash of that file
    draws: Size = 0  # of q, k and v, from the evaluation's seed on; each draws the variant anew
    errors: tuple[Amount, ...] = ()  # |y - y*| / |y*|, the norms being over all tokens
    cosines: tuple[Cosine, ...] = ()  # mean over the tokens of that between y and y*
    #: Share of the ten largest exact weights of a query that are of the variant's ten largest too,
    #: mean over the queries; none where the output is no weighted sum of the values.
    overlaps: tuple[Share, ...] = ()
    entropies: tuple[Share, ...] = ()  # of the exact weights, as a share of the most that there is
    seconds: Amount = 0.0
    failure: Failure | None = None


class Training(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One training of a tiny model."""

    rate: Positive  # learning rate
    seed: Size
    accuracies: tuple[Share, ...] = ()  # at each load of the ability
    #: Steps of training after which nine answers of ten were right, mean over the loads.
    steps_to_90: Count | None = None
    seconds: Amount = 0.0
    failure: Failure | None = None


class Ability(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What tiny models with a variant learn to do."""

    task: Task
    loads: tuple[Count, ...]  # how much there is to do: pairs to recall, bits to count
    runs: tuple[Training, ...] = ()
    budget: Positive | None = None  # seconds that all runs might take


class Evidence(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that was found out about the quality of one cell."""

    cell: Cell
    cost: Cost | None = None  # counted, of a call; None where it cannot be counted
    state_bytes: Size | None = None  # what decoding keeps after the cell's tokens
    fidelity: tuple[Fidelity, ...] = ()  # one for each regime
    ability: tuple[Ability, ...] = ()  # one for each task

    def able(self, task: str) -> Ability | None:
        """What is known of a task."""
        return next((one for one in self.ability if one.task == task), None)


class Evaluation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Evidence on variants, finished or not: everything needed to read, repeat or resume it."""

    created: str  # ISO 8601, UTC
    command: str  # what was typed
    machine: Machine
    seed: Size = 0  # of all that is drawn
    variants: Mapping[str, Variant]  # each with the hash of its code
    records: tuple[Evidence, ...]
    finished: bool = False
