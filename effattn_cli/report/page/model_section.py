"""A whole model on the page: its layers, its time from that of its parts, and where that goes."""

from collections.abc import Iterator, Sequence

from effattn_cli import units
from effattn_cli.analysis.model_time import Pass, by_setting, passes
from effattn_cli.records import Profile
from effattn_cli.report.model import model_view, time_view
from effattn_cli.report.page import tables
from effattn_cli.report.page.svg import tag, text

BAR, GAP, NAME, VALUE = 22, 10, 290, 90  # of a bar: height, space below, and room at either side
WIDTH = 900


def section(profile: Profile, before: str) -> Iterator[str]:
    """Nothing, where the profile is of no model."""
    if not profile.models:
        return
    model = profile.models[0]
    parts = [tag("h2", text(model_view.heading(model)), id=f"{before}model")]
    for layout in profile.models:
        layers = model_view.layers(layout, layout.dtype)
        parts.append(tables.grid(layers, f"The layers of {layout.name}"))
    made = passes(profile)
    for setting, members in by_setting(made).items():
        title = time_view.title(setting)
        parts.append(tag("h3", text(title)))
        timed = [each for each in members if each.mixing is not None]
        if timed:
            parts.append(tag("figure", _bars(timed, title)))
        parts.append(tables.grid(time_view.grid(members), f"Seconds of the parts: {title}"))
    sentences = [*time_view.findings(made), *time_view.notes(made)]
    parts += [tag("p", text(sentence), class_="reading") for sentence in sentences]
    yield tag("section", "".join(parts), class_="model")


def _bars(timed: Sequence[Pass], title: str) -> str:
    """A bar for each pass, as long as its time against the longest: mixers, then the rest."""
    longest = max(each.total.value for each in timed if each.total is not None)
    room = WIDTH - NAME - VALUE
    parts = [
        tag("title", text(f"Where the time goes: {title}")),
        tag("desc", text("; ".join(map(_words, timed)))),
    ]
    for number, whole in enumerate(timed):
        assert whole.total is not None
        assert whole.mixing is not None
        top = number * (BAR + GAP)
        width = room * whole.total.value / longest
        mixers = width * whole.mixing
        name = f"{_layout(whole)} {units.length(whole.seq)}"
        parts += [
            tag("text", text(name), x=NAME - 8, y=top + 15, class_="tick end"),
            _bar(NAME, top, mixers, "c1", 0.85),
            _bar(NAME + mixers, top, width - mixers, "c1", 0.25),
            tag("text", text(units.seconds(whole.total.value)), x=f"{NAME + width + 6:.1f}",
                y=top + 15, class_="tick"),
        ]  # fmt: skip
    height = len(timed) * (BAR + GAP)
    drawn = tag(
        "svg", "".join(parts), viewBox=f"0 0 {WIDTH} {height}", role="img", class_="chart",
        width=WIDTH, height=height,
    )  # fmt: skip
    note = "The dark part of a bar is what the mixers take, with their projections."
    return drawn + tag("figcaption", text(note))


def _bar(left: float, top: float, width: float, colour: str, opacity: float) -> str:
    return tag(
        "rect", "", x=f"{left:.1f}", y=top, width=f"{max(width, 0.5):.1f}", height=BAR,
        class_=colour, fill="currentColor", fill_opacity=opacity,
    )  # fmt: skip


def _layout(whole: Pass) -> str:
    """What sets a layout apart, short."""
    _, comma, rest = whole.model.name.partition(", ")
    return rest[:32] if comma else "as it is"


def _words(whole: Pass) -> str:
    assert whole.total is not None
    share = units.percent(whole.mixing or 0.0)
    seconds = units.seconds(whole.total.value)
    return f"{whole.model.name} at {units.length(whole.seq)}: {seconds}, mixers {share}"
