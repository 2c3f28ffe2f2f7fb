"""The answer in one sentence, which names what it costs."""

from collections.abc import Iterator, Sequence

from rich.text import Text

from effattn_cli import units
from effattn_cli.analysis.selection import spans
from effattn_cli.analysis.selection.candidates import RESOURCES
from effattn_cli.analysis.selection.ranking import Choice, Evaluation
from effattn_cli.analysis.selection.relaxation import freely, unproven
from effattn_cli.report.choice import budget_phrases, evidence_words
from effattn_cli.report.choice.places import cost
from effattn_cli.report.evaluation.fidelity_view import share

NAMED = 2  # of those that are tied
#: What it takes to know the energy of a call.
METERS = (
    "energy is read from NVIDIA's driver for a GPU, or from RAPL for a CPU"
    " (/sys/class/powercap, on most systems for the superuser only)"
)


def answer(choice: Choice) -> Text:
    """For one length: `Use performer (32.6 ms): ...`, or what to keep where nothing fits."""
    if choice.best is not None:
        said = [_used(choice.best, choice), *_instead(choice.best, choice)]
        return Text(f"Use {'; '.join([*said, *_tie(choice.best, choice)])}.", "bold")
    return Text(f"{_kept(choice)}.", "bold")


def over(choices: Sequence[Choice], single: Choice) -> Text:
    """For a range of lengths: one variant for all of them, or how far the farthest goes."""
    first, last = (units.length(choice.seq) for choice in (choices[0], choices[-1]))
    if single.best is not None:
        there = next(one for one in choices[-1].evaluations if one.label == single.best.label)
        said = [_used(there, choices[-1]), *_instead(there, choices[-1])]
        said += [*_exactly(choices, there), *_tie(single.best, single)]
        where = f"From {first} to {last}" if first != last else f"At {first}"
        return Text(f"{where} use {'; '.join(said)}.", "bold")
    far = spans.farthest(choices)
    if far is None:
        return Text(f"At {first} tokens already: {_kept(choices[0])}.", "bold")
    end = units.length(spans.reaches(choices, far.label)[-1].seq)
    name = units.clean(far.label)
    reach = f"No single variant fits from {first} to {last}: {name} goes furthest, to {end}"
    return Text(f"{reach}; {_costs(far, choices[0])}.", "bold")


def swap_of(one: Evaluation) -> str:
    """`exact`, `lossy` or `trained`; `exact?` where only a plugin's card says so."""
    quality = one.candidate.quality
    return f"{quality.swap}{'' if quality.checked or quality.swap == 'trained' else '?'}"


def _used(best: Evaluation, choice: Choice) -> str:
    return f"{units.clean(best.label)} ({amounts(best, choice)}): {_costs(best, choice)}"


def amounts(one: Evaluation, choice: Choice) -> str:
    """What is limited, or else what is asked for: `26.3 ms, 30.2 MiB`."""
    metrics = {name: choice.required.metric(name) for name in _asked(choice)}
    shown = [budget_phrases.amount(one.estimates.get(name), m) for name, m in metrics.items()]
    priced = [f"{cost(one)} a million tokens"] if one.cost is not None else []
    return ", ".join([*shown, *priced])


def _asked(choice: Choice) -> list[str]:
    """The resources that are limited, or the one to have the least of."""
    limited = {limit.resource for limit in choice.required.limits}
    names = limited or {"memory" if choice.prefer == "memory" else "latency"}
    return [name for name in RESOURCES if name in names]


def _costs(one: Evaluation, choice: Choice) -> str:
    """What it takes to have it, and what it gives up."""
    quality, training = one.candidate.quality, choice.required.training
    if not quality.checked and quality.keeps_weights:
        name = units.clean(one.candidate.variant)
        said = f"its card says {quality.swap}, which is not checked (effattn check {name})"
    elif quality.exact:
        said = "exact attention, with the weights that a model has"
    elif training:
        said = "the model is trained with it"
    elif quality.swap == "lossy":
        said = evidence_words.cost(one, choice.seq)
    else:
        said = "a model must be trained with it"
    if quality.sees is not None and quality.sees < choice.seq:
        said += f", and a query sees {units.length(quality.sees)} tokens at most"
    if quality.score is not None:
        said += f"; {quality.score:g} in {units.clean(choice.scored or 'your scores')}"
    exact = _exact(choice)
    known = exact.candidate.quality if exact is not None else None
    return "; ".join([said, *evidence_words.learned(quality, known, choice.required)])


def _instead(best: Evaluation, choice: Choice) -> Iterator[str]:
    """What exact attention takes, where something else is chosen."""
    exact = _exact(choice)
    if exact is not None and exact.estimates and not best.candidate.quality.exact:
        yield f"exact attention ({units.clean(exact.label)}) takes {amounts(exact, choice)}"


def _exactly(choices: Sequence[Choice], best: Evaluation) -> Iterator[str]:
    """Up to where exact attention fits, which takes the same weights."""
    quality = best.candidate.quality
    fits = [
        choice.seq for choice in choices if any(o.candidate.quality.exact for o in choice.fitting)
    ]
    if fits and quality.keeps_weights and not quality.exact:
        yield f"up to {units.length(fits[-1])} exact attention fits too, with the same weights"


def _exact(choice: Choice) -> Evaluation | None:
    """The exact attention that takes the least, whether it fits or not."""
    exact = [one for one in choice.evaluations if one.candidate.quality.exact]
    resource = "cost" if choice.prefer == "cost" else _asked(choice)[0]
    return min(exact, key=lambda one: (one.amount(resource), one.label), default=None)


def _tie(best: Evaluation, choice: Choice) -> Iterator[str]:
    """With what it is tied; of these it was taken because it costs least."""
    tied = [one for one in choice.fitting if one.label in choice.tied]
    if best.candidate.quality.exact and choice.prefer == "quality":  # the same function, faster
        end = best.interval("latency")[1]
        tied = [one for one in tied if one.interval("latency")[0] <= end]
    if best.candidate.quality.keeps_weights and not choice.required.training:
        qualities = [one.candidate.quality for one in tied]
        alike = [one.keeps_weights and one.is_useless <= best.candidate.quality.is_useless
                 for one in qualities]  # fmt: skip
        tied = [one for one, is_alike in zip(tied, alike, strict=True) if is_alike]
    if not tied:
        return
    names = [units.clean(one.label) for one in tied[:NAMED]]
    more = [f"{len(tied) - NAMED} more"] if len(tied) > NAMED else []
    others = _listed([*names, *more])
    cheapest = "fastest" if best.cost is None else "cheapest"
    yield f"tied in {choice.prefer} with {others}: the simplest, then {cheapest}"
    is_trained = evidence_words.is_trained(best.candidate.quality, choice.required)
    if choice.prefer == "quality" and is_trained:
        yield from evidence_words.telling([best, *tied])


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _kept(choice: Choice) -> str:
    """What to do where nothing fits, or where it is not known."""
    if (unknown := unknown_resources(choice)) != "":
        return unknown
    required = choice.required
    wanted = {"keep": "nothing that keeps a model's weights", "any": "nothing", "train": "nothing"}
    who = "no exact attention" if required.exact else wanted[required.weights]
    able = [one for one in choice.evaluations if one.rejection is None and one.known]
    limits = budget_phrases.limits(required)
    verb = "meets" if limits else "can do this"
    said = [f"{who} {verb} {limits}".rstrip()]
    if able:
        said.append(_nearest(able[0], choice))
    freed = freely(choice)
    near = unproven(choice)
    if not able and freed is None and near is None:
        return "Nothing that was measured can do this: --all says why"
    if freed is not None:
        cost = "is not exact" if freed.candidate.quality.keeps_weights else "must be trained"
        said.append(f"{units.clean(freed.label)} meets it ({amounts(freed, choice)}) and {cost}")
    if near is not None:
        name, price = units.clean(near.label), _costs(near, choice)
        said.append(f"{name} would take {amounts(near, choice)}: {price}")
    exact = None if required.training else _exact(choice)
    kept = "" if exact is None or exact.rejection is not None else "Keep softmax: "
    text = "; ".join(said)
    return kept + (text if kept else text[0].upper() + text[1:])


def _nearest(one: Evaluation, choice: Choice) -> str:
    """With the chance that it keeps the limits, where that is what it lacks."""
    within = all(headroom.used <= 1 for headroom in one.headrooms)
    sure = f", with a chance of {budget_phrases.sureness(one)}" if within else ""
    finding = None if one.candidate.quality.exact else one.candidate.quality.error
    error = f", error {share(finding.value)}" if finding and not choice.required.training else ""
    return f"{units.clean(one.label)} comes nearest ({amounts(one, choice)}{error}{sure})"


def unknown_resources(choice: Choice) -> str:
    """That nothing is known to fit, why, and what is needed; "" where it is known."""
    far = [one for one in choice.evaluations if one.rejection and one.rejection.why == "far"]
    able = [one for one in choice.evaluations if one.rejection is None]
    unknown = [one for one in able if not one.known]
    if not far and (not unknown or len(unknown) < len(able)):
        return ""
    limits = budget_phrases.limits(choice.required)
    said = f"Nothing is known to fit {limits} at {units.length(choice.seq)} tokens"
    missing = {h.limit.resource for one in unknown for h in one.headrooms if h.estimate is None}
    if "energy" in missing:
        return f"No variant has an energy measurement, so none can be recommended: {METERS}"
    return said
