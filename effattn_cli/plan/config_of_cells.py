"""The options that plan the cells of a saved sweep again."""

from collections.abc import Iterable, Sequence
from typing import Any

from effattn_cli.catalog import Catalog
from effattn_cli.errors import UsageError
from effattn_cli.plan.cells import plan
from effattn_cli.plan.request import merged
from effattn_cli.records import Cell, Profile, Sampling
from effattn_cli.setting import AXES, USUAL, Setting

HINT = "--again repeats it as it is"
BLOCK = ("feed", "norm")  # axes that only a block has


def options_of(profile: Profile, catalog: Catalog) -> dict[str, Any]:
    """The options of a profile's sweep, by their names, as a config file has them.

    Raises:
        UsageError: no options make these cells, as those of a model, or a part of a sweep.
    """
    cells = [record.cell for record in profile.records]
    if profile.models or not cells:
        what = "the layers of a model" if cells else "no cells"
        raise UsageError(f"the profile has {what}, which no options of a sweep describe", HINT)
    options = {**_grid(cells, profile.baseline), **_sampling(profile.sampling)}
    if set(plan(merged(options, {}), catalog, cores=1).cells) != set(cells):
        raise UsageError("the cells of the profile are no full grid of options", HINT)
    return options


def _grid(cells: Sequence[Cell], baseline: str | None) -> dict[str, Any]:
    labels = dict.fromkeys(cell.label for cell in cells)
    others = [label for label in labels if label != baseline] or list(labels)
    options: dict[str, Any] = {
        "variant": tuple(others),
        "seq": ",".join(map(str, sorted({cell.seq for cell in cells}))),
        "baseline": baseline or "none",
    }
    settings = list(dict.fromkeys(cell.setting for cell in cells))
    tokens = {cell.seq * cell.setting.batch for cell in cells}
    if len(tokens) == 1 and len({setting.batch for setting in settings}) > 1:
        options["tokens"] = str(tokens.pop())
    for name in AXES:
        if name == "batch" and "tokens" in options:
            continue
        values = dict.fromkeys(getattr(setting, name) for setting in _having(name, settings))
        if set(values) - {getattr(USUAL, name)} or name in {"threads", "device"}:
            options[name] = _typed(name, values)
    return options


def _having(name: str, settings: Sequence[Setting]) -> Iterable[Setting]:
    """The settings in which an axis says what was asked for, and not what follows from others."""
    if name == "causal":
        return [setting for setting in settings if setting.phase != "decode"]
    if name in BLOCK:
        return [setting for setting in settings if setting.scope == "block"]
    return settings


def _typed(name: str, values: Iterable[Any]) -> str:
    if AXES[name].switch:
        return ",".join("yes" if value else "no" for value in values)
    if None in values:
        raise UsageError(f"the profile has cells with and without {name.replace('_', '-')}", HINT)
    return ",".join(AXES[name].write(value) for value in values)


def _sampling(sampling: Sampling) -> dict[str, Any]:
    usual, options = Sampling(), dict[str, Any]()
    if sampling.rounds != usual.rounds:
        options["rounds"] = sampling.rounds
    if sampling.precision != usual.precision:
        options["precision"] = f"{100 * sampling.precision:.10g}%"
    if sampling.seed != usual.seed:
        options["seed"] = sampling.seed
    if sampling.time_limit != usual.time_limit:
        options["time_limit"] = f"{sampling.time_limit:.6f}s"
    if sampling.time_budget is not None:
        options["time_budget"] = f"{sampling.time_budget:.6f}s"
    if sampling.memory_limit is not None:
        options["memory_limit"] = f"{sampling.memory_limit}B"
    return options
