"""Which profiles are of one machine."""

from typing import Any

import pytest

from effattn_cli.analysis.selection.filters import pool
from effattn_cli.errors import UsageError
from effattn_cli.machine import differences
from effattn_cli.records import Profile
from tests.builders import a_cell, a_machine, a_profile, measured


def of(**facts: Any) -> Profile:
    return a_profile(measured(a_cell(), 1.0), machine=a_machine(**facts))


def _alike(one: Profile, other: Profile) -> bool:
    return not differences(one.machine, other.machine, "hardware")


@pytest.mark.parametrize(
    ("facts", "others"),
    [
        ({"cpu": "one"}, {"cpu": "another"}),
        ({"cores": 2}, {"cores": 4}),
        ({"accelerator": "A GPU"}, {}),
        ({"allowed_cores": 2.0}, {"allowed_cores": 1.5}),
        ({"accelerator_sm_mhz": 1980}, {"accelerator_sm_mhz": 1755}),
        ({"accelerator_memory_mhz": 2619}, {"accelerator_memory_mhz": 1593}),
        ({"accelerator_watts": 700.0}, {"accelerator_watts": 350.0}),
    ],
)
def test_what_changes_latencies_sets_machines_apart(
    facts: dict[str, Any], others: dict[str, Any]
) -> None:
    assert not _alike(of(**facts), of(**others))
    with pytest.raises(UsageError, match=r"the profiles are of different machines: '.+' and '.+'"):
        pool([of(**facts), of(**others)])


@pytest.mark.parametrize(
    "facts",
    [
        {"load": 9.0},
        {"cpu_mhz": 1200},
        {"accelerator_free_bytes": 1},
        {"allowed_bytes": 2**30},
        {"allowed_cores": 2.0},  # the other profile is older and does not know
        {"accelerator_watts": 700.0},
    ],
)
def test_what_does_not_or_is_not_known_does_not(facts: dict[str, Any]) -> None:
    assert _alike(of(), of(**facts))
    assert _alike(of(**facts), of())


def test_the_limit_that_differs_is_named() -> None:
    with pytest.raises(UsageError, match=r"'allowed cores 2' and 'allowed cores 1.5'"):
        pool([of(allowed_cores=2.0), of(allowed_cores=1.5)])
