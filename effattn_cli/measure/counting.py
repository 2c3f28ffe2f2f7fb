"""What a cell would cost and need, without running it or allocating anything."""

from dataclasses import dataclass

from torch._subclasses.fake_tensor import FakeTensorMode

from effattn_cli.attention import Layer
from effattn_cli.measure.operator_counter import Counter
from effattn_cli.measure.workload import build
from effattn_cli.records import Cell, Cost


@dataclass(frozen=True)
class Counted:
    cost: Cost
    resident_bytes: int  # inputs, weights and state: there before the call


def count(variant: type[Layer], cell: Cell) -> Counted:
    """Counts the cell's eager program on fake CPU tensors, whatever its device.

    On a CPU attention stays one fused operator; fake tensors of other devices would decompose it.
    """
    with FakeTensorMode(allow_non_fake_inputs=True):
        subject = build(variant, cell, device="cpu", eager=True)
        if cell.setting.phase == "train":
            subject.call()  # makes the upstream gradient, which is an input
        counter = Counter()
        counter.watch(*subject.tensors)
        with counter:
            subject.call()
    return Counted(counter.cost, sum(tensor.nbytes for tensor in subject.tensors))
