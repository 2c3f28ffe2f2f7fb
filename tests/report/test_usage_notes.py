from inline_snapshot import snapshot
from msgspec.structs import replace

from effattn_cli.records import Record, Usage
from effattn_cli.report.profile.usage_notes import lines
from tests.builders import MS, a_cell, measured


def used(label: str, usage: Usage | None, seq: int = 1024, **axes: str) -> Record:
    return replace(measured(a_cell(label, seq, **axes), MS), usage=usage)


def test_a_line_for_each_variant_over_all_lengths() -> None:
    one = Usage(total_parameters=33_562_624, active_parameters=4_202_496, dropped=0.044, load=1.16)
    two = replace(one, dropped=0.0381, load=1.1304)
    plain = Usage(total_parameters=2_263_040, active_parameters=231_424)
    records = [
        used("sdpa", None),
        used("gshard", one),
        used("gshard", two, 2048),
        used("gshard:experts=4", two),
        used("scaling-transformers", plain),
    ]
    assert "\n".join(lines(records)) == snapshot("""\
gshard: 33.6 M parameters, 4.2 M for a token; 3.8 % … 4.4 % of choices dropped; busiest expert 1.13x … 1.16x the mean
gshard:experts=4: 33.6 M parameters, 4.2 M for a token; 3.8 % of choices dropped; busiest expert 1.13x the mean
scaling-transformers: 2.3 M parameters, 231 k for a token
of the feed-forward alone, its weights and inputs being random: a trained one differs\
""")  # noqa: E501


def test_phases_have_lines_of_their_own() -> None:
    usage = Usage(total_parameters=2000, active_parameters=1000, load=1.0)
    found = list(lines(used("glam", usage, phase=phase) for phase in ("forward", "train")))
    assert [line.partition(":")[0] for line in found[:2]] == ["glam (forward)", "glam (train)"]


def test_where_nothing_is_sparse_nothing_is_said() -> None:
    assert list(lines([used("sdpa", None)])) == []
