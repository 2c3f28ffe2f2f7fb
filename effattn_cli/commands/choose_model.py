"""`effattn choose --model`: which layout of a whole model to deploy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from effattn_cli.analysis.selection.candidates import Requirements

NOTHING = 1  # exit code: nothing fits


@dataclass(frozen=True, kw_only=True)
class Typed:
    """What was typed of a model, and of its limits."""

    model: str
    context: str | None
    memory: str | None
    prefill: str | None
    tokens_per_second: float | None
    weights: str | None
    cache: str | None
    replacements: Sequence[str]
    keep: str | None
    profiles: Sequence[str]
    quality: "Requirements"  # limits of quality, and what may become of the weights
    evidence: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """How the answer is wanted."""

    everything: bool
    json: bool
    emit: Path | None
    force: bool


def choose(typed: Typed, options: Mapping[str, Any], wanted: Wanted) -> int:
    """Prints the answer, writes the policy, and gives the exit code."""
    from effattn_cli.app import model_choosing
    from effattn_cli.app.named_profiles import unless_there
    from effattn_cli.commands.notes import note, told

    if wanted.emit is not None:
        unless_there(wanted.emit, force=wanted.force)
    answer = model_choosing.answer(_question(typed, options), note, told)
    made = model_choosing.policy(answer) if wanted.emit is not None else None
    if wanted.emit is not None and made is not None:
        made.write(wanted.emit)
    if wanted.json:
        from effattn_cli.report.model import choice_json

        typer.echo(choice_json.document(answer))
    else:
        from effattn_cli.report.console import stdout
        from effattn_cli.report.model import choice_view

        stdout().print(choice_view.shown(answer, everything=wanted.everything), highlight=False)
    if wanted.emit is not None:
        told(f"saved: {wanted.emit}" if made else "nothing fits; no policy is written")
    return 0 if answer.best is not None else NOTHING


def _question(typed: Typed, options: Mapping[str, Any]) -> Any:
    from effattn_cli.analysis.model_choice import Limits
    from effattn_cli.app.model_layouts import Question
    from effattn_cli.commands.options import filtered
    from effattn_cli.errors import UsageError
    from effattn_cli.models.budget import Deployment
    from effattn_cli.models.cells import DECIDED
    from effattn_cli.plan.model_choices import found
    from effattn_cli.quantities import parse_bytes, parse_seconds
    from effattn_cli.ranges import lengths

    setting = filtered(options)
    batch = setting.pop("batch", 1)
    setting.pop("phase", None)
    if wrong := [name for name in DECIDED if name in setting]:
        raise UsageError(f"--model decides --{wrong[0].replace('_', '-')}: leave it out")
    contexts = lengths(typed.context or "", "--context") if typed.context else ()
    if len(contexts) != 1:
        raise UsageError("--context: one length is needed", "give --context 32k")
    prefill, rate = typed.prefill, typed.tokens_per_second
    if rate is not None and not rate > 0:
        raise UsageError(f"--tokens-per-second: {rate:g} is not above 0")
    limits = Limits(
        memory=parse_bytes(typed.memory, "--memory") if typed.memory is not None else None,
        prefill=parse_seconds(prefill, "--prefill") if prefill is not None else None,
        tokens_per_second=rate,
        evidence=typed.quality.evidence,
        confidence=typed.quality.confidence,
    )
    if limits.memory is None and not limits.timed:
        hint = "--memory 16GiB, --prefill 5s, or --tokens-per-second 20"
        raise UsageError("no budget given", hint)
    return Question(
        model=found(typed.model),
        deployment=Deployment(
            context=contexts[0],
            batch=batch,
            weights=typed.weights,  # type: ignore[arg-type]
            cache=typed.cache,  # type: ignore[arg-type]
        ),
        limits=limits,
        profiles=typed.profiles,
        setting=setting,
        replacements=typed.replacements,
        keep=typed.keep,
        weights=typed.quality.weights,
        evidence=typed.evidence,
    )
