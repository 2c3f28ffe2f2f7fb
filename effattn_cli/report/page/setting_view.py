"""One setting of a profile as a page sees it: its curves, its candidates, and its charts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from msgspec.structs import replace

from effattn_cli.analysis.cost import utilisation
from effattn_cli.analysis.selection.candidates import CONFIDENCE, Limit, Requirements, candidates
from effattn_cli.analysis.selection.evidence import evidence
from effattn_cli.analysis.selection.ranking import Choice, choose
from effattn_cli.analysis.series import Series
from effattn_cli.cards import Kind
from effattn_cli.evaluation import Evaluation
from effattn_cli.metrics import LATENCY, PEAK, STATE, Metric
from effattn_cli.records import Profile
from effattn_cli.report.page import curves, pareto, picks, roofline, speedups
from effattn_cli.report.page.svg import Chart
from effattn_cli.report.profile import findings


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a page is to be about, beyond its profiles."""

    limits: Sequence[Limit] = ()
    seq: int | None = None  # of the chart of latency against memory; None: the longest
    evaluations: Mapping[str, Evaluation] = field(default_factory=dict)  # by name


@dataclass(frozen=True, kw_only=True)
class View:
    """One setting of a profile."""

    profile: Profile  # its records are those of the setting
    series: Series
    styles: Mapping[str, int]
    wish: Wish

    @property
    def baseline(self) -> str | None:
        return self.profile.baseline

    @property
    def order(self) -> list[str]:
        return picks.by_latency(self.series, self.baseline)

    @property
    def curves(self) -> tuple[Metric, ...]:
        """In decoding the state fills the memory, a step's own peak is small beside it."""
        return (LATENCY, STATE, PEAK) if self.series.setting.phase == "decode" else (LATENCY, PEAK)

    @property
    def kinds(self) -> dict[str, Kind]:
        """How each variant relates to softmax, by label."""
        cells = [record.cell for record in self.series.records]
        return {cell.label: self.profile.variants[cell.variant].card.kind for cell in cells}

    @cached_property
    def sentences(self) -> list[str]:
        """What is found, the most important first."""
        return findings.sentences(self.profile)

    @cached_property
    def choice(self) -> Choice:
        """The candidates of the setting at the length that is asked for, else the longest."""
        setting, profile = self.series.setting, self.profile
        required = Requirements(
            limits=tuple(self.wish.limits),
            causal=setting.causal,
            decode=setting.phase == "decode",
            padding=bool(setting.padding),
            confidence=CONFIDENCE,
        )
        records, variants = self.series.records, profile.variants
        under = utilisation.of(setting, profile.rooflines)
        codes = {name: variant.code for name, variant in variants.items()}
        quality = evidence(self.wish.evaluations, setting, codes)
        every = candidates(records, required, variants, (), profile.scores, under, quality)
        scored = profile.scores.of if profile.scores else None
        return choose(every, self.wish.seq or self.series.seqs[-1], required, scored=scored)


def view(profile: Profile, series: Series, styles: picks.Styles, wish: Wish) -> View:
    labels = picks.picked(series, profile.baseline)
    alone = replace(profile, records=series.records)
    return View(profile=alone, series=series, styles=styles.of(labels), wish=wish)


def charts(shown: View) -> dict[str, Chart]:
    """Those that can be drawn, by the name that `--chart` takes."""
    drawn = {
        metric.name: curves.chart(
            curves.Curves(series=shown.series, metric=metric, styles=shown.styles)
        )
        for metric in shown.curves
    }
    drawn["pareto"] = pareto.chart(shown.choice, shown.baseline, shown.kinds)
    drawn["roofline"] = roofline.chart(shown.series, shown.profile.rooflines, shown.styles)
    drawn["speedup"] = speedups.chart(shown.series, shown.baseline)
    return {name: chart for name, chart in drawn.items() if chart is not None}
