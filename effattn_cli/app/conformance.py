"""Whether a variant keeps the laws that the bundled ones keep."""

from collections.abc import Iterator, Sequence
from typing import Literal

from msgspec import Struct

from effattn_cli.catalog import Catalog
from effattn_cli.catalog.sources import absolute, named
from effattn_cli.errors import NothingMeasured, UsageError
from effattn_cli.host.processes import usual_memory_limit
from effattn_cli.plan.variant_choices import Choice, select
from effattn_cli.records import Failure
from effattn_cli.run import outcome
from effattn_cli.run.fork_server import Launcher
from effattn_cli.run.jobs import Checked, CheckLaw, Job, Laws, ListLaws

Status = Literal["held", "broken", "skipped"]
LOADING = "loading"  # stands for being there at all


class Finding(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether a variant keeps one law."""

    law: str
    status: Status
    words: str = ""  # how it breaks the law, or why the law was skipped
    output: tuple[str, ...] = ()  # the last lines that it printed, where it failed


def subject(text: str, plugins: Sequence[str]) -> tuple[Catalog, Choice]:
    """What a name, a file, or a class stands for: `linformer:rank=8`, `mine.py`, `mine.py:Mine`.

    Raises:
        UsageError: it is unknown, or stands for several.
    """
    place, options = (text, "") if "=" not in text else text.rsplit(":", 1)
    if "." in place:  # no name has a dot: it is a file, or a class in a file or a module
        (name,) = (source.name for source in named(place))
        plugins = [*plugins, place]
    else:
        name = place
    catalog = Catalog(plugins)
    choices = select([f"{name}:{options}" if options else name], catalog)
    if len(choices) != 1:
        raise UsageError(f"{text!r} stands for {len(choices)} variants: name one")
    return catalog, choices[0]


def findings(
    catalog: Catalog, choice: Choice, launcher: Launcher, seconds: float
) -> Iterator[Finding]:
    """A finding for each law, in a process of its own, so that none can spoil another."""
    name, plugin = choice.name, absolute(catalog.source(choice.name).plugin)
    job = Job(request=ListLaws())
    listed = outcome.answer(launcher.run(job), Laws, job.timeout)
    if isinstance(listed, Failure):
        raise NothingMeasured("the checking process ended before the first law")
    memory = usual_memory_limit()
    for law in [LOADING, *listed.names]:
        request = CheckLaw(variant=name, plugin=plugin, law=law, options=choice.options)
        job = Job(request=request, timeout=seconds, memory=memory)
        result = finding(law, outcome.answer(launcher.run(job), Checked, seconds))
        yield result
        if law == LOADING and result.status == "broken":
            yield Finding(law="all other laws", status="skipped", words="it cannot be loaded")
            return


def finding(law: str, answer: Checked | Failure) -> Finding:
    """From what the law's process answered."""
    if isinstance(answer, Failure):
        word = {"raised": "raised ", "unsupported": "refused: "}.get(answer.reason, "")
        return Finding(law=law, status="broken", words=word + answer.message, output=answer.output)
    if answer.broken is not None:
        return Finding(law=law, status="broken", words=answer.broken)
    if answer.skipped is not None:
        return Finding(law=law, status="skipped", words=answer.skipped)
    return Finding(law=law, status="held")
