"""The command that is told measures the cell that it is told for."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from typer.main import get_command

from effattn_cli.catalog import Catalog
from effattn_cli.cli import app
from effattn_cli.plan import request as requests
from effattn_cli.plan.cells import plan
from effattn_cli.plan.request import OPTIONS
from effattn_cli.records import Cell
from effattn_cli.report import phrases
from effattn_cli.setting import Setting

CELLS = st.builds(
    Cell,
    variant=st.just("sliding-window"),
    seq=st.sampled_from([1000, 4096]),
    setting=st.builds(
        Setting,
        batch=st.sampled_from([1, 8]),
        dim=st.sampled_from([512, 1024]),
        heads=st.sampled_from([8, 4]),
        kv_heads=st.sampled_from([None, 2]),
        head_dim=st.sampled_from([None, 32]),
        dtype=st.sampled_from(["float32", "bfloat16"]),
        threads=st.sampled_from([1, 3]),
        phase=st.sampled_from(["forward", "train"]),
        scope=st.sampled_from(["core", "layer"]),
        causal=st.booleans(),
        padding=st.sampled_from([0.0, 0.25]),
        engine=st.sampled_from(["eager", "compile"]),
        alloc=st.sampled_from(["retained", "default"]),
    ),
)


@given(CELLS)
def test_the_command_plans_this_very_cell(cell: Cell) -> None:
    told = phrases.measuring(cell.label, cell.seq, cell.setting).split()
    assert told[:2] == ["effattn", "profile"]
    commands: Any = get_command(app)
    asked = commands.commands["profile"].make_context("profile", told[2:]).params
    request = requests.merged({name: asked[name] for name in OPTIONS}, {})
    planned = plan(request, Catalog(), cores=2).placed({"auto": "cpu"})
    assert cell in planned.cells
