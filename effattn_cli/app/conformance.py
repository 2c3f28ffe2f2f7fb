"""Whether a variant keeps the laws that the bundled ones keep."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from effattn_cli.catalog import Catalog
from effattn_cli.catalog.sources import absolute
from effattn_cli.errors import NothingMeasured
from effattn_cli.host.processes import usual_memory_limit
from effattn_cli.records import Failure
from effattn_cli.run import outcome
from effattn_cli.run.fork_server import Launcher
from effattn_cli.run.jobs import Checked, CheckLaw, Job, Laws, ListLaws

Status = Literal["held", "broken", "skipped"]
LOADING = "loading"  # stands for being there at all


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """Whether a variant keeps one law."""

    law: str
    status: Status
    words: str = ""  # how it breaks the law, or why the law was skipped
    output: tuple[str, ...] = ()  # the last lines that it printed, where it failed


def findings(catalog: Catalog, name: str, launcher: Launcher, seconds: float) -> Iterator[Finding]:
    """A finding for each law, in a process of its own, so that none can spoil another."""
    plugin = absolute(catalog.source(name).plugin)
    job = Job(request=ListLaws())
    listed = outcome.answer(launcher.run(job), Laws, job.timeout)
    if isinstance(listed, Failure):
        raise NothingMeasured("the checking process ended before the first law")
    memory = usual_memory_limit()
    for law in [LOADING, *listed.names]:
        request = CheckLaw(variant=name, plugin=plugin, law=law)
        job = Job(request=request, timeout=seconds, memory=memory)
        found = finding(law, outcome.answer(launcher.run(job), Checked, seconds))
        yield found
        if law == LOADING and found.status == "broken":
            yield Finding(law="all other laws", status="skipped", words="it cannot be loaded")
            return


def finding(law: str, told: Checked | Failure) -> Finding:
    """From what the law's process answered."""
    if isinstance(told, Failure):
        word = {"raised": "raised ", "unsupported": "refused: "}.get(told.reason, "")
        return Finding(law=law, status="broken", words=word + told.message, output=told.output)
    if told.broken is not None:
        return Finding(law=law, status="broken", words=told.broken)
    if told.skipped is not None:
        return Finding(law=law, status="skipped", words=told.skipped)
    return Finding(law=law, status="held")
