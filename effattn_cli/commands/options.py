"""Options of commands, made from what declares them: the axes of a setting, a sweep's request.

A command takes them as keywords: `@takes(...)` puts them into the signature that typer reads.
"""

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

import typer

from effattn_cli.commands.completion import (
    engine_words,
    family_names,
    model_names,
    profile_names,
    regime_names,
    task_names,
    variant_names,
    words_of,
)
from effattn_cli.option_spec import OptionSpec
from effattn_cli.plan import evaluation_request
from effattn_cli.plan.evaluation_request import EvaluationRequest
from effattn_cli.plan.request import OPTIONS, Request
from effattn_cli.setting import AXES, USUAL, Setting, flag

if TYPE_CHECKING:
    from effattn_cli.app.part import Part

COMPLETIONS: dict[str, Any] = {
    "variant": variant_names, "model": model_names, "family": family_names,
    "task": task_names, "regime": regime_names, "engine": engine_words,
}  # fmt: skip
COMMON = "What to sweep"  # the section of the axes that most people name
OUTPUT, SHOWN = "Output", "What is shown"
Option = inspect.Parameter


def takes(
    *options: Option, behind: Iterable[Option] = ()
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command these options, in the place of its `**options`.

    Its own options in their panel come before them, its others after them; then those `behind`.
    """

    def made(command: Callable[..., None]) -> Callable[..., None]:
        own = [p for p in _parameters(command) if p.kind is not inspect.Parameter.VAR_KEYWORD]
        panel = _info(options[0]).rich_help_panel
        arguments = [p for p in own if isinstance(_info(p), typer.models.ArgumentInfo)]
        before = [p for p in own if p not in arguments and _info(p).rich_help_panel == panel]
        rest = [p for p in own if p not in (*arguments, *before)]

        @functools.wraps(command)
        def run(**values: Any) -> None:
            command(**values)

        parameters = [
            p.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for p in (*arguments, *before, *options, *rest, *behind)
        ]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        return run

    return made


def _parameters(command: Callable[..., None]) -> list[Option]:
    return [*inspect.signature(command).parameters.values()]


def _info(option: Option) -> Any:
    """What typer is told of it."""
    (info,) = option.annotation.__metadata__
    return info


def sweep() -> tuple[Option, ...]:
    """What says which cells a sweep has: its request, with the axes behind the lengths."""
    names = [name for name in OPTIONS if name not in AXES]
    index = names.index("seq") + 1
    return tuple(_sweep_option(name) for name in (*names[:index], *AXES, *names[index:]))


def evaluation() -> tuple[Option, ...]:
    """What says which evidence is wanted."""
    declared = evaluation_request.OPTIONS
    return tuple(_request_option(name, declared[name], EvaluationRequest) for name in declared)


def _sweep_option(name: str) -> Option:
    return _request_option(name, OPTIONS[name], Request)


def _request_option(name: str, spec: OptionSpec, request: type[Any]) -> Option:
    default = spec.default or _written(name, request)
    if name in AXES:
        kind: Any = bool | None if spec.switch else str | None
    else:
        hint = get_args(request.__annotations__[name])[0]
        kind = list[str] | None if get_origin(hint) is tuple else hint | None
    return _option(name, spec, kind, default, spec.section)


def _written(name: str, request: type[Any]) -> str:
    """The usual value as it is typed, for the help."""
    if name in AXES:
        usual, axis = getattr(USUAL, name), AXES[name]
        return _no(name) if axis.switch else "" if usual is None else axis.write(usual)
    usual = getattr(request(), name)
    if usual is False:
        return _no(name)
    return "" if usual in (None, ()) else str(usual)


def _no(name: str) -> str:
    return f"no-{name.replace('_', '-')}"


def filters(panel: str) -> tuple[Option, ...]:
    """What says which cells of saved profiles are meant: one value on each axis that is common."""
    return tuple(_filter(name, panel) for name in AXES if AXES[name].section == COMMON)


def rare_filters() -> tuple[Option, ...]:
    """The other axes, in panels of their own."""
    rare = (name for name in AXES if AXES[name].section != COMMON)
    return tuple(_filter(name, AXES[name].section) for name in rare)


def _filter(name: str, panel: str) -> Option:
    kind: Any = bool | None if AXES[name].switch else str | None
    return _option(name, AXES[name], kind, "", panel)


def _option(name: str, spec: OptionSpec, kind: Any, default: str, panel: str) -> Option:
    """A value of None says that the option was not given; `default` is what help shows."""
    info = _declared(
        name, spec, panel, f"{spec.help} {unless_given(default)}" if default else spec.help
    )
    keyword = inspect.Parameter.KEYWORD_ONLY
    return Option(name, keyword, default=None, annotation=Annotated[kind, info])


def of_sweep(name: str, panel: str, help: str = "") -> Any:
    """An option that `profile` has too; its help may be another one here."""
    return _declared(name, OPTIONS[name], panel, help or OPTIONS[name].help)


def unless_given(value: str) -> str:
    """How help says what holds where the option is not given."""
    return f"[dim]\\[{value}][/]"


def _declared(name: str, spec: OptionSpec, panel: str, help: str) -> Any:
    typed = f"--{name.replace('_', '-')}"
    return typer.Option(
        f"{typed}/--no-{typed[2:]}" if spec.switch else typed,
        *([spec.short] if spec.short else []),
        help=help,
        show_default=False,
        metavar=spec.metavar or " ",
        rich_help_panel=panel,
        autocompletion=_completion(name, spec),
    )


def _completion(name: str, spec: OptionSpec) -> Any:
    """Names of what the option says; else the words that its axis has."""
    if spec.completion or name not in AXES:
        return COMPLETIONS.get(spec.completion)
    words = get_args(get_args(Setting.__annotations__[name])[0])
    listed = [word for word in words if isinstance(word, str)]
    return words_of(listed) if listed else None


def asked(values: Mapping[str, Any]) -> dict[str, Any]:
    """Those options of a sweep that were given."""
    return {name: values[name] for name in OPTIONS if values.get(name) not in (None, [])}


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Those that were given, whatever command they are of."""
    return {name: value for name, value in values.items() if value not in (None, [])}


def filtered(values: Mapping[str, Any]) -> dict[str, Any]:
    """The one value on each axis that was given.

    Raises:
        UsageError: it cannot be read, or stands for several.
    """
    from effattn_cli.errors import UsageError

    filters: dict[str, Any] = {}
    for name, axis in AXES.items():
        value = values.get(name)
        if value is None:
            continue
        if axis.switch:
            filters[name] = value
            continue
        meant = axis.read(value, flag(name))
        if len(meant) != 1:
            why = f"{flag(name)}: {value!r} stands for {len(meant)} values"
            raise UsageError(why, "one answer is for one setting: give one")
        filters[name] = meant[0]
    return filters


def profile_argument(help: str, metavar: str = "PROFILE") -> Any:
    return typer.Argument(help=help, metavar=metavar, autocompletion=profile_names)


def output(*names: str, help: str, metavar: str = " ", **more: Any) -> Any:
    return typer.Option(
        *names, help=help, metavar=metavar, show_default=False, rich_help_panel=OUTPUT, **more
    )


def out(help: str) -> Any:
    return output("--out", "-o", help=help, metavar="FILE")


Out = Annotated[Path | None, out(f"File to write. {unless_given('in your data folder')}")]
Force = Annotated[bool, output("--force", help="Replace the file if it exists.")]
Json = Annotated[bool, output("--json", help="Print one JSON document.")]
Quiet = Annotated[bool, output("--quiet", "-q", help="Show no progress.")]
ChartFlag = Annotated[bool | None, output("--chart/--no-chart", help="Draw the curves.")]
NoPager = Annotated[bool, output("--no-pager", help="Print everything at once.")]
OneVariant = Annotated[
    str,
    typer.Argument(
        metavar="VARIANT",
        help="A variant with options, `linformer:rank=8`, or its file.",
        autocompletion=variant_names,
    ),
]
Plugin = Annotated[list[str] | None, of_sweep("plugin", "Options")]
VariantFilter = Annotated[
    list[str] | None,
    of_sweep("variant", SHOWN, "Only these, and the baseline: `linformer,performer`. Repeatable."),
]
SeqFilter = Annotated[str | None, of_sweep("seq", SHOWN, "Only these lengths, as `1k..16k`.")]


def part(variants: list[str] | None, seq: str | None, values: Mapping[str, Any]) -> "Part":
    """The part of a saved profile that these options say.

    Raises:
        UsageError: a value of an axis cannot be read, or stands for several.
    """
    from effattn_cli.app.part import Part

    return Part(variants=variants or (), seq=seq, setting=filtered(values))
