"""The machines of a choice, and what a candidate costs on them."""

import math
from collections.abc import Sequence

from rich.text import Text

from effattn_cli import units
from effattn_cli.analysis.selection.ranking import Evaluation
from effattn_cli.app.choosing import Place
from effattn_cli.report.catalog.profile_list import machine
from effattn_cli.setting import Setting

#: What stands below a table with costs.
LEGEND = "cost: of a million tokens through what was measured alone; ±: 95 % interval"


def titles(setting: Setting, places: Sequence[Place]) -> list[Text]:
    """The setting; of several machines what they have in common, and then each."""
    settings = [place.setting for place in places]
    shared = Text(setting.shared(settings))
    return [shared, *(Text(_line(place, settings)) for place in places)]


def _line(place: Place, settings: Sequence[Setting]) -> str:
    """`c7i: Intel(R) Xeon(R) Platinum 8488C, 4 cores; 4 threads; $0.53/h`."""
    apart = place.setting.apart(settings)
    price = place.price.typed if place.price is not None else ""
    said = [machine(place.machine), *(part for part in (apart, price) if part)]
    return units.clean(f"{place.name}: {'; '.join(said)}")


def cost(one: Evaluation) -> str:
    """`$0.00151`, `~$0.00151` where the latency was not measured."""
    price, estimate = one.candidate.price, one.cost
    if estimate is None or price is None:
        return "?"
    return f"{'' if estimate.basis == 'measured' else '~'}{price.show(estimate.value)}"


def cost_within(one: Evaluation) -> str:
    """The same with its 95 % interval: `$0.00151 ±3 %`, rounded up."""
    estimate = one.cost
    if estimate is None:
        return "?"
    half = max(estimate.high - estimate.value, estimate.value - estimate.low) / estimate.value
    return f"{cost(one)} ±{math.ceil(round(100 * half, 6)) or 1} %"
