"""The costs and memory of a cell, counted without running it or allocating anything."""

from dataclasses import dataclass

from torch._subclasses.fake_tensor import FakeTensorMode

from effattn_cli.attention import Layer
from effattn_cli.attention.target import counted_for
from effattn_cli.measure import decoding_costs
from effattn_cli.measure.operator_counter import Counter
from effattn_cli.measure.workload import Training, build
from effattn_cli.records import Cell, Cost


@dataclass(frozen=True)
class Counted:
    cost: Cost
    resident_bytes: int  # inputs, weights and state: allocated before the call


def count(variant: type[Layer], cell: Cell) -> Counted:
    """Counts the eager program that the cell's device runs, on fake CPU tensors.

    On a CPU attention stays one fused operator; fake tensors of other devices would decompose it.

    Raises:
        Uncountable: the program does something whose cost is not known.
    """
    with FakeTensorMode(allow_non_fake_inputs=True), counted_for(cell.setting.device):
        subject = build(variant, cell, device="cpu", eager=True)
        if subject.decoding is not None:
            cost = decoding_costs.mean(subject.decoding, subject.inputs + subject.weights)
        else:
            if isinstance(subject.call, Training):
                subject.call.ready()
            counter = Counter()
            counter.watch(*subject.tensors)
            with counter:
                subject.call()
            cost = counter.cost
    return Counted(cost, sum(tensor.nbytes for tensor in subject.tensors))
