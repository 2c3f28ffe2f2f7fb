"""Which layout of a model to deploy: a table, and the answer in a sentence."""

from collections.abc import Iterator, Sequence

from rich.console import Group as Lines
from rich.text import Text

from effattn_cli import units
from effattn_cli.analysis import model_choice
from effattn_cli.analysis.model_choice import Limits, Option
from effattn_cli.app.model_choosing import Answer
from effattn_cli.report.choice import evidence_words
from effattn_cli.report.layout import Column, Grid, Row
from effattn_cli.report.model import model_evidence
from effattn_cli.report.model.model_view import tokens
from effattn_cli.report.model.time_view import title

SHOWN = 9  # layouts of a table that is to fit a small screen
MEANS = {
    "as it is": "the model as it is",
    "exact": "the same function with the same weights",
    "lossy": "keeps the weights and approximates what they compute",
    "trained": "must be trained or converted",
}


def shown(answer: Answer, *, everything: bool = False) -> Lines:
    """What was asked, the layouts, what they mean; the answer last."""
    options = list(answer.options) if everything else _few(answer)
    hidden = len(answer.options) - len(options)
    lines = [*_notes(answer)]
    if hidden:
        lines.append(f"{units.number(hidden, 'more layout')}: --all lists them.")
    return Lines(
        Text(question(answer), "bold"), Text(), grid(options, answer), Text(),
        *(Text(units.clean(line), "dim") for line in lines),
        Text(units.clean(sentence(answer)), "bold"),
    )  # fmt: skip


def _few(answer: Answer) -> list[Option]:
    """The model as it is, and what no other layout beats."""
    front = model_choice.front(answer.options)
    fitting = [option for option in front if option.fits]
    others = [option for option in front if not option.fits and option is not answer.own]
    first = [answer.own, *(option for option in fitting if option is not answer.own), *others]
    kept = {id(option) for option in first[:SHOWN]}
    return [option for option in answer.options if id(option) in kept]


def question(answer: Answer) -> str:
    """The model, how it runs, and the limits."""
    asked = answer.question
    run, limits = asked.deployment, asked.limits
    parts = [f"{units.length(run.context)} tokens"]
    if run.batch > 1:
        parts.append(f"batch {run.batch}")
    if limits.memory is not None:
        parts.append(f"memory {units.size(limits.memory)}")
    if limits.prefill is not None:
        parts.append(f"prefill {units.seconds(limits.prefill)}")
    if limits.tokens_per_second is not None:
        parts.append(f"{limits.tokens_per_second:g} tokens/s")
    parts += evidence_words.limits(limits.evidence)
    return units.clean(f"{asked.model.name}, the whole model: {', '.join(parts)}")


def grid(options: Sequence[Option], answer: Answer) -> Grid:
    """A row for each layout."""
    limits = answer.question.limits
    columns = [
        Column(title="layout", folds=2), Column(title="swap"), Column(title="memory", right=True),
    ]  # fmt: skip
    if answer.setting is not None:
        columns += [Column(title="prefill", right=True), Column(title="tokens/s", right=True)]
    if limits.memory is not None:
        columns.append(Column(title="longest", right=True, extra=1))
    columns += model_evidence.columns(answer)
    columns.append(Column(title="chance", right=True))
    columns.append(Column(title="binds", extra=1))
    return Grid(columns, [_row(option, answer) for option in options])


def _row(option: Option, answer: Answer) -> Row:
    cells = [
        layout_words(option, answer),
        option.layout.swap,
        units.size(option.memory.total),
    ]
    if answer.setting is not None:
        cells.append(units.seconds(option.prefill.value) if option.prefill else "?")
        cells.append(_rate(option.rate))
    if answer.question.limits.memory is not None:
        cells.append(tokens(option.longest or 0).removesuffix(" tokens"))
    cells += model_evidence.cells(option)
    cells += [chance(option), option.binding or ""]
    style = "bold" if option is answer.best else ""
    return Row(cells=tuple(Text(units.clean(cell), style) for cell in cells))


def layout_words(option: Option, answer: Answer) -> str:
    """The layout without the model's name."""
    name = option.layout.name
    rest = name.removeprefix(answer.question.model.name).removeprefix(", ")
    return rest or "as it is"


def _rate(rate: float | None) -> str:
    return "?" if rate is None else f"{rate:.3g}" if rate < 1000 else units.count(rate)


def chance(option: Option) -> str:
    """That all limits are kept."""
    if option.probability is None:
        return "?"
    return f"{'>' if option.probability > 0.99 else ''}{min(99, round(100 * option.probability))} %"


def _notes(answer: Answer) -> Iterator[str]:
    swaps = dict.fromkeys(option.layout.swap for option in answer.options)
    named = "; ".join(f"{swap}: {MEANS[swap]}" for swap in swaps if swap != "as it is")
    if named:
        yield f"{named}."
    if answer.setting is not None:
        yield f"Times: {title(answer.setting).partition(', ')[2]}, {answer.machine}."
        yield "?: a part of it is not measured, or not with such weights."
    elif answer.question.limits.timed:
        yield "?: no part of the model is measured."
    yield from model_evidence.notes(answer)


def sentence(answer: Answer) -> str:
    """The answer, and what it costs."""
    own, best = answer.own, answer.best
    name = answer.question.model.name
    if best is own:
        return f"Keep {name} as it is: {amounts(own)}."
    if best is not None:
        swap = MEANS[best.layout.swap]
        words = layout_words(best, answer)
        why = f"{name} as it is {shortfall(own)}"
        other = _cheaper(answer, best)
        return f"{why}. Use {words} ({amounts(best)}): it {swap}{other}."
    if own.probability is None:
        return (
            f"{name} as it is takes {amounts(own)}; its times are not known: {measuring(answer)}."
        )
    open_ = [o for o in answer.options if o.probability is None and not o.layout.quantised]
    if open_:
        many = units.number(len(open_), "other layout")
        times = f"the times of {many} are not known: {measuring(answer)}"
        return f"{name} as it is {shortfall(own)}; {times}."
    near = _nearest(answer)
    text = f"Nothing fits: {name} as it is {shortfall(own)}"
    if near is not None and near is not own:
        text += f"; {layout_words(near, answer)} comes nearest ({amounts(near)})"
    return f"{text}."


def measuring(answer: Answer) -> str:
    """What measures the times that are not known."""
    asked = answer.question
    length = units.length(asked.deployment.context)
    replaced = "".join(f" --replace {text}" for text in asked.replacements)
    keep = f" --keep {asked.keep}" if asked.keep is not None else ""
    what = f"--model {asked.model.name} -s {length} --phase forward,decode{replaced}{keep}"
    return f"effattn profile {what} measures them"


def _cheaper(answer: Answer, best: Option) -> str:
    """Where the best keeps the weights, what training would give; and the other way round."""
    other = next(
        (o for o in answer.options if o.fits and o.layout.swap == "trained"),
        None,
    )
    if other is None or best.layout.swap == "trained":
        return ""
    return f"; {layout_words(other, answer)} fits, too ({amounts(other)}), and must be trained"


def amounts(option: Option) -> str:
    """What it takes."""
    parts = [units.size(option.memory.total)]
    if option.prefill is not None:
        parts.append(f"prefill {units.seconds(option.prefill.value)}")
    if option.rate is not None:
        parts.append(f"{_rate(option.rate)} tokens/s")
    return ", ".join(parts)


def shortfall(option: Option) -> str:
    """Which limit it does not keep."""
    limits: Limits = option.limits
    if option.probability is not None and option.probability >= 0.5:
        sure = units.percent(limits.confidence)
        return f"keeps the limits with a chance of {chance(option)} only, and {sure} are asked for"
    if option.binding == "memory" and limits.memory is not None:
        longest = option.longest
        fits = f" (up to {tokens(longest)} would fit)" if longest else ""
        return (
            f"does not fit: it takes {units.size(option.memory.total)} of"
            f" {units.size(limits.memory)}{fits}"
        )
    if option.binding == "prefill" and option.prefill is not None:
        return f"is too slow: it reads the prompt in {units.seconds(option.prefill.value)}"
    if option.binding == "tokens/s":
        return f"is too slow: it makes {_rate(option.rate)} tokens/s"
    return "is not known to fit"


def _nearest(answer: Answer) -> Option | None:
    """The likeliest; of equals the one of least memory."""
    options = [option for option in answer.options if option.probability is not None]
    return max(options, key=lambda o: (o.probability or 0.0, -o.memory.total), default=None)
