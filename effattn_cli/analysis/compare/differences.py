"""What else differs between two profiles: the first thing to know of a change."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

from effattn_cli.analysis.compare.comparison import Comparison
from effattn_cli.analysis.selection.filters import LIMITS
from effattn_cli.machine import Machine
from effattn_cli.records import Cell, Profile, Record

#: What the numbers hang on, the hardware first; load and free memory differ in every run.
FINGERPRINT = (
    "cpu", "cores", "accelerator", "driver", "torch", "torch_build", "os", "governor", "python",
    "effattn", "environment",
)  # fmt: skip
#: The same, where both profiles know it: older ones do not.
WHERE_KNOWN = (*LIMITS, "blas")
SAMPLING = ("seed", "precision", "seconds", "min_samples", "max_samples")


@dataclass(frozen=True, slots=True)
class Difference:
    what: str
    old: str
    new: str


def machines(old: Machine, new: Machine) -> list[Difference]:
    return [
        Difference(name.replace("_", " "), _text(getattr(old, name)), _text(getattr(new, name)))
        for name in (*FINGERPRINT, *WHERE_KNOWN)
        if getattr(old, name) != getattr(new, name)
        and (name in FINGERPRINT or None not in (getattr(old, name), getattr(new, name)))
    ]


def codes(old: Profile, new: Profile) -> list[Difference]:
    """Variants of both whose source is not the same."""
    return [
        Difference(f"code of {name}", known.code, new.variants[name].code)
        for name, known in old.variants.items()
        if name in new.variants and new.variants[name].code != known.code
    ]


def samplings(old: Profile, new: Profile) -> list[Difference]:
    pairs = ((n, getattr(old.sampling, n), getattr(new.sampling, n)) for n in SAMPLING)
    return [Difference(n.replace("_", " "), str(a), str(b)) for n, a, b in pairs if a != b]


def axes(old: Sequence[Record], new: Sequence[Record]) -> Iterator[Difference]:
    """Axes on which cells that have no partner share no value: threads, a device, a dtype.

    Another variant or length is another cell; these say that the same was measured otherwise.
    """
    settings = [item for item in fields(Cell) if item.name not in {"variant", "options", "seq"}]
    for item in settings if old and new else ():
        before = {_text(getattr(record.cell, item.name)) for record in old}
        after = {_text(getattr(record.cell, item.name)) for record in new}
        if not before & after:
            yield Difference(item.name, ", ".join(sorted(before)), ", ".join(sorted(after)))


def differences(found: Comparison) -> list[Difference]:
    """Hardware, software and code, then what keeps cells from having a partner."""
    return [
        *machines(found.old.machine, found.new.machine),
        *codes(found.old, found.new),
        *samplings(found.old, found.new),
        *axes(found.only_old, found.only_new),
    ]


def drifted(found: Comparison) -> list[str]:
    """Variants that changed although nothing is known to be different: did the machine change?"""
    if found.slowdown is not None or machines(found.old.machine, found.new.machine):
        return []
    before, after = found.old.variants, found.new.variants
    labels = []
    for mean in found.means:
        name = mean.label.partition(":")[0]
        latency = mean.changes.get("latency")
        same = name in before and name in after and before[name].code == after[name].code
        if same and latency and latency.verdict in {"better", "worse"}:
            labels.append(mean.label)
    return labels


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}={value[key]}" for key in sorted(value)) or "none"
    return "none" if value is None else str(value)
