"""The cells of a whole model."""

import itertools

from effattn_cli.architecture import BYTES, Model
from effattn_cli.errors import UsageError
from effattn_cli.host import processor
from effattn_cli.models.cells import DECIDED, parts, step_parameters
from effattn_cli.plan.model_choices import arranged, found
from effattn_cli.plan.request import Request
from effattn_cli.plan.sweep_axes import axes_of, lengths_that_fit
from effattn_cli.plan.sweep_plan import MAX_CELLS, Plan
from effattn_cli.records import Cell
from effattn_cli.setting import Setting


def model_plan(request: Request, cores: int) -> Plan:
    """The parts of a model and of its other layouts, each once.

    Raises:
        UsageError: there are options beside it that it decides, or a part is not measured.
    """
    given = [name for name in (*DECIDED, "padding") if name in request.axes]
    fields = ("variant", "family", "like", "tokens")
    named = [*(name for name in fields if getattr(request, name)), *given]
    if named:
        hint = "--replace full=gated-deltanet gives its layers another mixer"
        raise UsageError(f"--model decides --{named[0].replace('_', '-')}: leave it out", hint)
    model = found(request.model or "")
    models = (model, *arranged(model, request.replace, request.keep))
    seqs, notes = lengths_that_fit(request.seq, None)
    axes = {name: values for name, values in axes_of(request, cores).items() if name not in DECIDED}
    if "dtype" not in request.axes:
        axes["dtype"] = (model.dtype,)
    cells: dict[Cell, None] = {}
    larger: set[Setting] = set()
    for values in itertools.product(*axes.values()):
        setting = Setting(**dict(zip(axes, values, strict=True)))
        for layout, seq in itertools.product(models, seqs):
            own = dict.fromkeys(part.cell for part in parts(layout, seq, setting))
            cells |= own
            if "cache" not in request.axes and _is_larger(layout, setting):
                larger |= {cell.setting for cell in own}
    if len(cells) > MAX_CELLS:
        raise UsageError(f"the sweep has {len(cells):,} cells, more than {MAX_CELLS:,}")
    return Plan(tuple(cells), None, notes, models, larger=frozenset(larger))


def _is_larger(model: Model, setting: Setting) -> bool:
    """Whether a step of decoding reads more weights than the caches here hold: then none of them is
    left there for the next step.
    """
    read = BYTES[setting.dtype] * step_parameters(model, setting.batch)
    return setting.phase == "decode" and read > processor.cache_bytes()
