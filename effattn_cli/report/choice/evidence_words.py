"""Words of the evidence on a variant's quality: in a table's column, in a sentence, in a legend."""

from collections.abc import Iterator, Mapping, Sequence

from effattn_cli import units
from effattn_cli.analysis.selection.candidates import Rejection, Requirements
from effattn_cli.analysis.selection.evidence import Finding, Task
from effattn_cli.analysis.selection.quality import SOURCE, SPREAD, Quality
from effattn_cli.analysis.selection.ranking import Choice, Evaluation
from effattn_cli.evaluation import OWN
from effattn_cli.report.evaluation.fidelity_view import share

#: The error of an output that a trained model can live with, where nobody says another.
NEAR = 0.05
#: What a tiny model does, and of what.
LOADS: Mapping[Task, str] = {"recall": "recalls", "update": "updates", "parity": "counts"}
PAIRS: Mapping[Task, str] = {"recall": "pairs", "update": "pairs", "parity": "bits"}


def column(one: Evaluation, choice: Choice) -> str:
    """`score 81.2, error 13 %, recalls 32, LRA 51.4, released, sees 256`."""
    quality, training = one.candidate.quality, choice.required.training
    said = [] if quality.score is None else [f"score {quality.score:g}"]
    error = _error(quality, training=training)
    said += (
        [] if error is None else [f"error {share(error.value)}{_mark(error)}{_at(error, choice)}"]
    )
    said += [
        f"{LOADS[task]} {quality.measured[task].value:g}{_mark(quality.measured[task])}"
        for task in _learned(quality)
    ]
    if has_published(quality, training=training):
        said.append(f"LRA {quality.lra:.1f}")
    if quality.deployed and not quality.exact and error is None:
        said.append("released")
    if quality.sees is not None and quality.sees < choice.seq:
        said.append(f"sees {units.length(quality.sees)}")
    return ", ".join(said)


def _learned(quality: Quality) -> list[Task]:
    """The tasks of which a tiny model gets at least the least load right."""
    return [task for task in LOADS if task in quality.measured and quality.measured[task].value]


def _at(finding: Finding, choice: Choice) -> str:
    """` at 1k`, where it is of other lengths for others, and so is not to be compared with all."""
    errors = (one.candidate.quality.error for one in choice.evaluations if not one.rejection)
    seqs = {error.seq for error in errors if error is not None}
    return f" at {units.length(finding.seq)}" if finding.seq != max(seqs, default=0) else ""


def _mark(finding: Finding) -> str:
    return "" if finding.same_code else "*"


def _error(quality: Quality, *, training: bool) -> Finding | None:
    """Where it tells something: exact attention has none."""
    return None if quality.exact or training else quality.error


def has_published(quality: Quality, *, training: bool) -> bool:
    """Whether there is a score that speaks of this; exact attention needs none."""
    return not quality.exact and quality.published(training=training) is not None


def of_error(finding: Finding) -> str:
    """`an error of 13 % on captured heads at 1k`."""
    where = "your own q, k and v" if finding.regime == OWN else f"{finding.regime} heads"
    return f"an error of {share(finding.value)} on {where} at {units.length(finding.seq)}"


def origin(finding: Finding) -> str:
    """Where a finding comes from, and how sure it is."""
    code = "" if finding.same_code else ", of other code than the profile's"
    where = f"{units.clean(finding.source)}, {units.length(finding.seq)} tokens{code}"
    if finding.task == "fidelity":
        interval = f"95 % interval {share(finding.low)} to {share(finding.high)}"
        return f"{of_error(finding)}; {interval}; from {where}"
    return f"{finding.task}: {finding.value:g} {PAIRS[finding.task]} at 90 %; from {where}"


def cost(one: Evaluation, seq: int) -> str:
    """What a lossy variant does to a model's weights, as a part of a sentence."""
    quality, error = one.candidate.quality, one.candidate.quality.error
    if error is None:
        name = units.clean(one.label)
        hint = f"how well is not known (effattn evaluate -v {name})"
        return f"it keeps a model's weights and approximates softmax, {hint}"
    behind = " only" if error.seq < seq else ""
    behind += f" (beyond {share(NEAR)} fine-tune it)" if error.low > NEAR else ""
    if quality.is_useless:
        return f"it takes a model's weights, which are of no use with {of_error(error)}{behind}"
    return f"it keeps a model's weights, with {of_error(error)}{behind}"


def is_trained(quality: Quality, required: Requirements) -> bool:
    """Whether a model is trained with it: only then does it matter what tiny models learn."""
    return required.training or not quality.keeps_weights


def learned(quality: Quality, exact: Quality | None, required: Requirements) -> Iterator[str]:
    """`a tiny model updates 8 pairs with it (32 with exact attention)`: of each task that is
    limited, and of those in which what has to be trained is surely worse than exact attention.
    """
    trains = is_trained(quality, required)
    for task, word in LOADS.items():
        finding = quality.measured.get(task)
        most = exact.measured.get(task) if exact is not None and trains else None
        if finding is None:
            continue
        said = f"a tiny model {word} {finding.value:g} {PAIRS[task]} with it"
        if most is not None and finding.worse_than(most):
            yield f"{said} ({most.value:g} with exact attention)"
        elif task in required.evidence:
            yield said


def telling(tied: Sequence[Evaluation]) -> Iterator[str]:
    """The tasks of which those that are tied learn different loads."""
    measured = [one.candidate.quality.measured for one in tied]
    loads = {task: {one[task].value for one in measured if task in one} for task in LOADS}
    if tasks := [f"--{task}" for task, values in loads.items() if len(values) > 1]:
        verb = "tell" if len(tasks) > 1 else "tells"
        yield f"{' and '.join(tasks)} {verb} them apart by what tiny models learn"


def limits(limited: Mapping[Task, float]) -> list[str]:
    """What is limited of the quality."""
    return [
        f"an error of {share(limit)}"
        if task == "fidelity"
        else f"{task} of {limit:g} {PAIRS[task]}"
        for task, limit in limited.items()
    ]


def rejection(lost: Rejection) -> str:
    """Why what is known of its quality is not enough."""
    if lost.why == "fidelity":
        if lost.finding is None:
            return "its error is not known: effattn evaluate"
        interval = "" if lost.finding.value == lost.finding.high else (
            f", up to {share(lost.finding.high)}"
        )  # fmt: skip
        return f"an error of {share(lost.finding.value)}{interval}"
    task = next(task for task in LOADS if task == lost.why)
    if lost.finding is None:
        return f"what it {LOADS[task]} is not known: effattn evaluate -t {task}"
    return f"{LOADS[task]} {lost.finding.value:g} {PAIRS[task]}"


def legend(listed: Sequence[Evaluation], choice: Choice) -> Iterator[str]:
    """What the words in the column stand for, as far as they occur."""
    training = choice.required.training
    qualities = [one.candidate.quality for one in listed if one.rejection is None]
    if any(quality.score is not None for quality in qualities):
        yield f"score: {units.clean(choice.scored or '')}, as the profile has it; more is better"
    errors = [e for quality in qualities if (e := _error(quality, training=training)) is not None]
    if errors:
        where = "your own q, k and v" if errors[0].regime == OWN else f"{errors[0].regime} heads"
        yield f"error: of the output, untrained, on {where} {_origins(errors)}"
    loads = [quality.measured[task] for quality in qualities for task in _learned(quality)]
    if loads and choice.fitting:
        tasks = [task for task in LOADS if any(task in _learned(one) for one in qualities)]
        words = ", ".join(LOADS[task] for task in tasks)
        kinds = " or ".join(dict.fromkeys(PAIRS[task] for task in tasks))
        yield f"{words}: {kinds} that a tiny model gets 90 % right {_origins(loads)}"
    if any(not finding.same_code for finding in [*errors, *loads]):
        yield "* of other code than the profile's: effattn evaluate measures it anew"
    if any(has_published(quality, training=training) for quality in qualities):
        yield f"LRA: published ({SOURCE}); {SPREAD:g} points tell nothing apart"


def _origins(findings: Sequence[Finding]) -> str:
    """`at 1k (ref:fidelity)`."""
    seqs = sorted({finding.seq for finding in findings})
    sources = dict.fromkeys(finding.source for finding in findings)
    at = " and ".join(units.length(seq) for seq in seqs)
    return f"at {at} ({units.clean(', '.join(sources))})"
