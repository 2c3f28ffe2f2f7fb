from dataclasses import dataclass

import torch
from msgspec.structs import replace

from effattn_cli.measure import dispatched_kernels
from effattn_cli.records import Cell

SDPA = Cell(variant="sdpa", seq=64)


@dataclass
class Event:
    called: str

    def name(self) -> str:
        return self.called


def test_the_innermost_names_of_what_computed_attention() -> None:
    names = [
        "aten::scaled_dot_product_attention",
        "aten::_scaled_dot_product_flash_attention_for_cpu",
        "aten::mm",
        "[memory]",
    ]
    found = dispatched_kernels.kernels([Event(name) for name in names * 2])
    assert found == ("_scaled_dot_product_flash_attention_for_cpu",)


def test_a_fallback_is_told_unless_it_was_asked_for() -> None:
    assert dispatched_kernels.warnings(SDPA, [dispatched_kernels.MATH]) == (
        "no fused SDPA kernel supports this input: the math backend ran, which holds all scores",
    )
    assert (
        dispatched_kernels.warnings(
            replace(SDPA, options={"backend": "math"}), [dispatched_kernels.MATH]
        )
        == ()
    )
    assert dispatched_kernels.warnings(SDPA, ["_flash"]) == ()


def test_a_graph_that_was_not_compiled_whole_is_told() -> None:
    compiled = replace(SDPA, setting=replace(SDPA.setting, engine="compile"))
    torch._dynamo.utils.counters.clear()
    assert dispatched_kernels.warnings(compiled, []) == ("torch.compile compiled nothing of it",)

    def broken(x: torch.Tensor) -> torch.Tensor:
        torch._dynamo.graph_break()
        return x + 1

    torch.compile(broken, backend="eager")(torch.ones(2))
    (warning,) = dispatched_kernels.warnings(compiled, [])
    assert warning.startswith("torch.compile broke the graph 1 times: ")
    torch._dynamo.utils.counters.clear()
    torch.compile(lambda x: x + 1, backend="eager")(torch.ones(2))
    assert dispatched_kernels.warnings(compiled, []) == ()
