"""What evaluations say of the quality of each label: at which length, of what, and how sure. Pure.

Fidelity is the relative error of the output on the heads of a trained model: on the user's own q, k
and v as soon as there are results on any, else in the regime `captured`. An ability is the largest
load at which a tiny model has nine answers of ten right.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from effattn_cli.analysis import ability, fidelity
from effattn_cli.evaluation import CAPTURED, OWN, Evaluation
from effattn_cli.evaluation import Evidence as Found
from effattn_cli.setting import Setting

Task = Literal["fidelity", "recall", "update", "parity"]
TASKS: tuple[Task, ...] = get_args(Task)


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that was measured of the quality of a label."""

    task: Task
    value: float  # fidelity: the error, less being better; else the load, more being better
    low: float  # of its 95 % interval; of a load, which holds for the worst seed, itself
    high: float
    seq: int  # tokens of a sequence
    regime: str = ""  # of q, k and v
    source: str  # the name of the evaluation
    same_code: bool = True  # it is of the code that the profile's variant has

    def worse_than(self, other: "Finding") -> bool:
        """Surely: the intervals do not meet."""
        if self.task == "fidelity":
            return self.low > other.high
        return self.high < other.low

    def meets(self, limit: float) -> bool:
        """Whether the whole interval is within the limit: an error at most, a load at least."""
        return self.high <= limit if self.task == "fidelity" else self.low >= limit


#: All findings of each label, of every length.
Evidence = Mapping[str, Sequence[Finding]]
NOTHING: Evidence = {}


#: An error below which an approximation was none: all tokens had a place in its window, say.
LEAST = 1e-4


def nearest(findings: Iterable[Finding], seq: int) -> dict[Task, Finding]:
    """Of each task the finding at the length nearest to `seq`, the first of equals. What
    approximated nothing in fewer tokens says nothing of more.
    """
    by_task: dict[Task, Finding] = {}
    for one in findings:
        if one.task == "fidelity" and one.high < LEAST and one.seq < seq:
            continue
        best = by_task.get(one.task)
        if best is None or _far(one.seq, seq) < _far(best.seq, seq):
            by_task[one.task] = one
    return by_task


def _far(one: float, other: float) -> float:
    return abs(math.log(one / other))


def evidence(
    evaluations: Mapping[str, Evaluation], setting: Setting, codes: Mapping[str, str]
) -> Evidence:
    """The findings that speak of a setting: as causal as it, with heads of the width that is
    nearest to its own. Of each label and task those of the first evaluation count that has any.

    `evaluations` are by name, `codes` the hashes of the variants that are to be chosen from.
    """
    cores = {name: _cores(one, setting) for name, one in evaluations.items()}
    regime = OWN if any(_has(OWN, some) for some in cores.values()) else CAPTURED
    sources: dict[tuple[str, Task], dict[str, list[Finding]]] = {}
    for name, one in evaluations.items():
        pairs = [*_errors(cores[name], regime, name), *_loads(one, setting, name)]
        for record, finding in pairs:
            variant = record.cell.variant
            same = one.variants[variant].code == codes.get(variant)
            by_source = sources.setdefault((record.cell.label, finding.task), {})
            by_source.setdefault(name, []).append(replace(finding, same_code=same))
    labels: dict[str, list[Finding]] = {}
    for (label, _), by_source in sources.items():
        labels.setdefault(label, []).extend(next(iter(by_source.values())))
    return labels


def _cores(evaluation: Evaluation, setting: Setting) -> list[Found]:
    """What was compared with exact attention, with a mask or without, as in the setting."""
    alike = [
        record for record in evaluation.records
        if record.fidelity and record.cell.setting.causal == setting.causal
    ]  # fmt: skip
    near = min((_apart(record, setting) for record in alike), default=0.0)
    return [record for record in alike if _apart(record, setting) == near]


def _apart(record: Found, setting: Setting) -> float:
    """How far apart the widths of the heads are."""
    widths = [one.head_dim or one.dim // one.heads for one in (record.cell.setting, setting)]
    return _far(*widths)


def _has(regime: str, records: Iterable[Found]) -> bool:
    return any(fidelity.error(record, regime) is not None for record in records)


def _errors(records: Iterable[Found], regime: str, source: str) -> Iterator[tuple[Found, Finding]]:
    for record in records:
        mean = fidelity.error(record, regime)
        if mean is not None:
            half = mean.half or 0.0
            yield record, Finding(
                task="fidelity", value=mean.value, low=max(0.0, mean.value - half),
                high=mean.value + half, seq=record.cell.seq, regime=regime, source=source,
            )  # fmt: skip


def _loads(
    evaluation: Evaluation, setting: Setting, source: str
) -> Iterator[tuple[Found, Finding]]:
    """Of what is trained with a mask and without, what is as the setting says comes first. What a
    variant's options did not limit in so few tokens is not known of it.
    """
    records = [
        record for record in evaluation.records
        if record.ability and not ability.untested(record, evaluation.variants[record.cell.variant])
    ]  # fmt: skip
    for record in sorted(records, key=lambda one: one.cell.setting.causal != setting.causal):
        for one in record.ability:
            load = ability.held(one)
            if load is not None:
                yield record, Finding(
                    task=one.task, value=load, low=load, high=load, seq=record.cell.seq,
                    source=source,
                )  # fmt: skip
