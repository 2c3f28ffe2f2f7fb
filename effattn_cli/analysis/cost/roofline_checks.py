"""What speaks against a measured roofline: another roofline, or a cell that is faster."""

from collections.abc import Iterable, Iterator
from itertools import pairwise

from msgspec.structs import replace

from effattn_cli import units
from effattn_cli.analysis.cost import utilisation
from effattn_cli.analysis.cost.utilisation import Bound
from effattn_cli.records import Cost, Profile, Record, Roofline

NOISE = 0.95  # of one thread's rate: what two threads reach at least
#: Times its roofline: a variant that is faster does not do what was counted. The baseline does.
IMPLAUSIBLE = 2.0


def checked(rooflines: Iterable[Roofline]) -> tuple[Roofline, ...]:
    """The rooflines, with a doubt at each whose threads do less than one alone."""
    every = tuple(rooflines)
    return tuple(
        replace(one, doubts=tuple(dict.fromkeys((*one.doubts, *_below_one(one, every)))))
        for one in every
    )


def _below_one(several: Roofline, every: Iterable[Roofline]) -> Iterator[str]:
    for one in every:
        alike = (one.device, one.dtype) == (several.device, several.dtype)
        if not alike or one.threads != 1 or several.threads == 1:
            continue
        names = {"products": (several.flops, one.flops)}
        names["exponentials"] = (several.exponentials, one.exponentials)
        for name, (rate, single) in names.items():
            if rate < NOISE * single:
                yield f"{several.threads} threads are slower than one at {name}"


def raised(profile: Profile) -> tuple[Roofline, ...]:
    """The profile's rooflines, each as high as its fastest cells show that it is."""
    return tuple(_raised(roofline, profile) for roofline in profile.rooflines)


def _raised(roofline: Roofline, profile: Profile) -> Roofline:
    best: dict[Bound, tuple[float, Record]] = {}
    for record in profile.records:
        if utilisation.place(record.cell.setting) != utilisation.place(roofline):
            continue
        used = utilisation.utilisation(record, (roofline,))
        is_baseline = record.cell.label == profile.baseline
        if used is None or used.fraction <= 1 or (used.fraction > IMPLAUSIBLE and not is_baseline):
            continue
        if used.fraction > best.get(used.bound, (1.0, record))[0]:
            best[used.bound] = used.fraction, record
    for bound, (times, record) in best.items():
        assert record.cost is not None
        place = f"{units.clean(record.cell.label)} at {units.length(record.cell.seq)}"
        why = f"{place} was {times:.3g} times as fast as its {bound} allowed"
        roofline = replace(
            _scaled(roofline, bound, times, record.cost), raised=(*roofline.raised, why)
        )
    return roofline


def _scaled(roofline: Roofline, bound: Bound, times: float, cost: Cost) -> Roofline:
    """The roofline whose bound for such a program takes so many times less."""
    if bound == "overhead":
        return replace(roofline, dispatch=roofline.dispatch / times)
    if bound == "bandwidth":
        beside = _beside(roofline, cost.moved_bytes / max(cost.operators, 1))
        return replace(
            roofline,
            bandwidths=tuple(
                replace(point, speed=point.speed * times)
                if point.working_set_bytes in beside
                else point
                for point in roofline.bandwidths
            ),
        )
    products = cost.matmul_flops / roofline.flops
    exponentials = cost.transcendentals / roofline.exponentials
    minimum = (products + exponentials) / times  # the seconds that the cell really took
    if products >= exponentials and minimum > exponentials:  # the greater part has to give way
        return replace(roofline, flops=cost.matmul_flops / (minimum - exponentials))
    if exponentials > products and minimum > products:
        return replace(roofline, exponentials=cost.transcendentals / (minimum - products))
    return replace(
        roofline, flops=roofline.flops * times, exponentials=roofline.exponentials * times
    )


def _beside(roofline: Roofline, working_set: float) -> set[int]:
    """The measured working sets between which this one lies, or the nearest one."""
    sizes = sorted(point.working_set_bytes for point in roofline.bandwidths)
    for low, high in pairwise(sizes):
        if low <= working_set <= high:
            return {low, high}
    return {sizes[0] if working_set < sizes[0] else sizes[-1]}
