"""A plan says what it rests on."""

from msgspec.structs import replace

from effattn_cli.analysis.cost import utilisation
from effattn_cli.report.profile.dry_run import table
from effattn_cli.report.profile.planning import planned
from tests.builders import a_cell, a_profile, pending
from tests.report.screen import screen


def test_a_doubtful_roofline_is_told() -> None:
    cell = a_cell()
    sound = replace(utilisation.ANY, device="cpu", threads=2)
    doubtful = replace(sound, doubts=("other processes kept 1.6 cores busy",))
    line = "! The roofline is doubtful, and these times may be too long: other processes kept 1.6"
    for roofline, is_told in ((sound, False), (doubtful, True)):
        profile = a_profile(pending(cell), rooflines=(roofline,))
        shown = table(profile, planned(profile, {cell: 1e-3}))
        assert (line in screen(shown, 200)) == is_told
