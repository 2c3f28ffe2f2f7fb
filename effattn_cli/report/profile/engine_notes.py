"""What engines took before the first call, a line for each below the tables."""

from collections.abc import Iterable, Iterator

from effattn_cli import units
from effattn_cli.records import Preparation, Record
from effattn_cli.report.profile.usage_notes import span


def lines(records: Iterable[Record]) -> Iterator[str]:
    by_engine: dict[str, list[Preparation]] = {}
    for record in records:
        if record.preparation is not None:
            by_engine.setdefault(record.cell.setting.engine, []).append(record.preparation)
    for engine, preparations in by_engine.items():
        facts = [
            f"{what} {span(seconds, units.seconds)}"
            for what, seconds in (
                ("export", [one.export_seconds for one in preparations if one.export_seconds]),
                ("loading", [one.load_seconds for one in preparations if one.load_seconds]),
            )
            if seconds
        ]
        if facts:
            yield f"{units.clean(engine)}: {', '.join(facts)}; once, and not in the latency"
