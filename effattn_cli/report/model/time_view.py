"""The time of a whole model from that of its parts: tables, and what they say."""

from collections.abc import Iterator, Sequence

from rich.console import Group as Lines
from rich.text import Text

from effattn_cli import units
from effattn_cli.analysis.model_time import Pass, Share, by_setting, passes
from effattn_cli.architecture import Layer
from effattn_cli.records import Profile
from effattn_cli.report.layout import Column, Grid, Row
from effattn_cli.report.model.model_view import feed_words, heading, mixer_words
from effattn_cli.setting import AXES, USUAL, Setting

WHAT = {"forward": "the prompt", "train": "a training step", "decode": "a token"}


def shown(profile: Profile) -> Lines:
    """A table for each setting, under the model's name; then sentences."""
    made = passes(profile)
    tables: list[Text | Grid] = [Text(heading(profile.models[0]), "bold"), Text()]
    for setting, members in by_setting(made).items():
        tables += [Text(title(setting), "bold"), grid(members), Text()]
    sentences = [Text(units.clean(line)) for line in (*notes(made), *findings(made))]
    return Lines(*tables, *sentences)


def title(setting: Setting) -> str:
    """Phase, batch, dtype, and where; what is as usual on a quiet axis goes without saying."""
    names = ("phase", "batch", "dtype", "engine", "cache", "device", "threads")
    usual = USUAL.texts()
    texts = {name: text for name, text in setting.texts().items() if name in names}
    return ", ".join(
        text for name, text in texts.items() if not (AXES[name].quiet and text == usual[name])
    )


def grid(members: Sequence[Pass]) -> Grid:
    """A row for each part, one for the whole; a column for each length."""
    seqs = sorted({each.seq for each in members})
    columns = [Column(title="part", folds=2), Column(title="count", right=True, extra=1)]
    columns += [Column(title=units.length(seq), right=True) for seq in seqs]
    rows: list[Row] = []
    for name in dict.fromkeys(each.model.name for each in members):
        own = {each.seq: each for each in members if each.model.name == name}
        rows += _rows(own, seqs, several=len(members) > len(seqs))
    return Grid(columns, rows)


def _rows(own: dict[int, Pass], seqs: Sequence[int], *, several: bool) -> Iterator[Row]:
    """Those of one layout."""
    first = own[seqs[0]]
    for index, share in enumerate(first.shares):
        cells = [_each(own[seq].shares[index]) for seq in seqs if seq in own]
        texts = (part_words(share), str(share.part.count), *cells)
        yield Row(cells=tuple(map(Text, texts)), opens=index == 0)
    whole = WHAT[first.setting.phase]
    name = f"{whole}: {first.model.name}" if several else whole
    totals = [_total(own[seq]) for seq in seqs if seq in own]
    yield Row(cells=(Text(units.clean(name), "bold"), Text(), *(Text(t, "bold") for t in totals)))
    rates = [_rate(own[seq]) for seq in seqs if seq in own]
    yield Row(cells=(Text("tokens/s"), Text(), *map(Text, rates)))
    spaces = [_workspace(own[seq]) for seq in seqs if seq in own]
    yield Row(cells=(Text("workspace"), Text(), *map(Text, spaces)))


def part_words(share: Share) -> str:
    """What it is, in a few words."""
    layer = share.part.layer
    return share.part.role if layer is None else layer_words(layer)


def layer_words(layer: Layer) -> str:
    """Mixer and feed-forward."""
    parts = [mixer_words(layer.mixer), feed_words(layer.feed) if layer.feed is not None else ""]
    return " + ".join(part for part in parts if part)


def _each(share: Share) -> str:
    if share.each is None:
        return "not known"
    mark = "~" if share.each.basis != "measured" else "!" if share.each.busy else ""
    return mark + units.seconds(share.each.value)


def _total(whole: Pass) -> str:
    if whole.total is None:
        return "not known"
    total = whole.total
    half = max(total.high - total.value, total.value - total.low) / total.value
    mark = "~" if total.basis != "measured" else ""
    return f"{mark}{units.seconds(total.value)} ±{units.percent(half)}"


def _workspace(whole: Pass) -> str:
    return "not known" if whole.workspace is None else units.size(whole.workspace)


def _rate(whole: Pass) -> str:
    rate = whole.tokens_per_second
    return "" if rate is None else units.count(rate) if rate >= 100 else f"{rate:.3g}"


def notes(made: Sequence[Pass]) -> Iterator[str]:
    """What the tables leave to be said."""
    yield (
        "A part is measured once, and counts as often as it occurs; the whole is their sum, and"
        " leaves out what joins them. Biases are left out of a block's products. workspace: the"
        " most that a part takes at once, and what training keeps for the backward pass."
    )
    estimates = [share.each for each in made for share in each.shares if share.each is not None]
    if any(estimate.basis != "measured" for estimate in estimates):
        yield "~ predicted from a measured length"
    if any(estimate.busy for estimate in estimates):
        yield "! other processes kept the machine busy: the latency may be too high"
    for whole in made:
        for share in whole.missing[:1]:
            where = f"{whole.setting.phase} at {units.length(whole.seq)}"
            yield f"{where}: {part_words(share)} has no measured latency"


def findings(made: Sequence[Pass]) -> Iterator[str]:
    """The longest length of each setting in a sentence."""
    for members in by_setting(made).values():
        longest = max(whole.seq for whole in members)
        for whole in members:
            if whole.seq == longest and whole.total is not None:
                yield _finding(whole)


def _finding(whole: Pass) -> str:
    assert whole.total is not None
    name, seq = whole.model.name, units.length(whole.seq)
    seconds = units.seconds(whole.total.value)
    verb = {"forward": "reads", "train": "trains on", "decode": "makes"}[whole.setting.phase]
    if whole.setting.phase == "decode":
        text = f"{name} makes a token after {seq} in {seconds} ({_rate(whole)} tokens/s)"
    else:
        text = f"{name} {verb} {seq} tokens in {seconds}"
    if whole.mixing is not None and whole.max_speedup is not None:
        text += (
            f"; its mixers take {units.percent(whole.mixing)} of that: no other could make the"
            f" model more than {units.ratio(whole.max_speedup)} as fast"
        )
    return f"{text}."
