"""A plan says what it rests on."""

from msgspec.structs import replace

from effattn_cli.analysis.cost import utilisation
from effattn_cli.report.profile.dry_run import table
from tests.builders import a_cell, a_profile, pending
from tests.report.screen import screen


def test_a_doubtful_roofline_is_told() -> None:
    cell = a_cell()
    sound = replace(utilisation.ANY, device="cpu", threads=2)
    doubtful = replace(sound, doubts=("other processes kept 1.6 cores busy",))
    line = "! The roofline is doubtful, and these times may be too long: other processes kept 1.6"
    for roofline, is_told in ((sound, False), (doubtful, True)):
        profile = a_profile(pending(cell), rooflines=(roofline,))
        assert (line in screen(table(profile, {cell: 1e-3}), 200)) == is_told
