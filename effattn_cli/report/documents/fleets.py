"""A sweep on other machines."""

from msgspec import Struct

from effattn_cli.machine import Size


class FleetWorker(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A host, or a shard, and what it runs."""

    name: str
    place: str  # what is there, in words
    command: str
    exit_code: int | None  # null: not begun, or given up


class FleetProfile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was measured on a machine, in a file of its own."""

    path: str
    machine: str  # in words
    cells: Size
    runs: Size
    finished: bool


class Fleet(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `effattn profile --on` did, or under `--dry-run` would do."""

    target: str
    folder: str
    cells: Size | None  # of the whole sweep; null where it goes on
    workers: tuple[FleetWorker, ...]
    profiles: tuple[FleetProfile, ...]
