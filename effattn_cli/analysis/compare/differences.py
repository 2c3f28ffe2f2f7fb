"""What else differs between two profiles: the first thing to know of a change."""

from collections.abc import Iterator, Sequence

from effattn_cli import machine
from effattn_cli.analysis.compare.comparison import Comparison
from effattn_cli.machine import Difference
from effattn_cli.records import Profile, Record
from effattn_cli.setting import AXES

SAMPLING = ("seed", "precision", "seconds", "min_samples", "max_samples")


def codes(old: Profile, new: Profile) -> list[Difference]:
    """Variants of both whose source is not the same."""
    return [
        Difference(f"code of {name}", before.code, new.variants[name].code)
        for name, before in old.variants.items()
        if name in new.variants and new.variants[name].code != before.code
    ]


def samplings(old: Profile, new: Profile) -> list[Difference]:
    pairs = ((n, getattr(old.sampling, n), getattr(new.sampling, n)) for n in SAMPLING)
    return [Difference(n.replace("_", " "), str(a), str(b)) for n, a, b in pairs if a != b]


def axes(old: Sequence[Record], new: Sequence[Record]) -> Iterator[Difference]:
    """Axes on which cells that have no partner share no value: threads, a device, a dtype.

    Another variant or length is another cell; these say that the same was measured otherwise.
    """
    for name, axis in AXES.items() if old and new else ():
        before = {axis.write(getattr(record.cell.setting, name)) for record in old}
        after = {axis.write(getattr(record.cell.setting, name)) for record in new}
        if not before & after:
            yield Difference(name, ", ".join(sorted(before)), ", ".join(sorted(after)))


def differences(comparison: Comparison) -> list[Difference]:
    """Hardware, software and code, then what keeps cells from having a partner."""
    return [
        *machine.differences(comparison.old.machine, comparison.new.machine),
        *codes(comparison.old, comparison.new),
        *samplings(comparison.old, comparison.new),
        *axes(comparison.only_old, comparison.only_new),
    ]


def drifted(comparison: Comparison) -> list[str]:
    """Variants that changed although nothing is known to be different: did the machine change?"""
    if comparison.slowdown is not None or machine.differences(
        comparison.old.machine, comparison.new.machine
    ):
        return []
    before, after = comparison.old.variants, comparison.new.variants
    labels = []
    for mean in comparison.means:
        name = mean.label.partition(":")[0]
        latency = mean.changes.get("latency")
        same = name in before and name in after and before[name].code == after[name].code
        if same and latency and latency.verdict in {"better", "worse"}:
            labels.append(mean.label)
    return labels
