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
    family_names,
    model_names,
    profile_names,
    variant_names,
    words_of,
)
from effattn_cli.option_spec import OptionSpec
from effattn_cli.plan import evaluation_request
from effattn_cli.plan.evaluation_request import EvaluationRequest
from effattn_cli.plan.request import OPTIONS, Request
from effattn_cli.setting import AXES, USUAL, Setting

if TYPE_CHECKING:
    from effattn_cli.app.part import Part

COMPLETIONS: dict[str, Any] = {
    "variant": variant_names, "model": model_names, "family": family_names,
}  # fmt: skip
OUTPUT = "Output"

Option = inspect.Parameter


def takes(*options: Option) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command these options, in the place of its `**options`."""

    def made(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command).parameters.values()
        before = [p for p in own if p.kind is not inspect.Parameter.VAR_KEYWORD]
        first = [p for p in before if _is_argument(p)]
        rest = [p for p in before if not _is_argument(p)]

        @functools.wraps(command)
        def run(**values: Any) -> None:
            command(**values)

        parameters = [
            p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in (*first, *options, *rest)
        ]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        return run

    return made


def _is_argument(parameter: inspect.Parameter) -> bool:
    marks = getattr(parameter.annotation, "__metadata__", ())
    return any(isinstance(mark, typer.models.ArgumentInfo) for mark in marks)


def sweep() -> tuple[Option, ...]:
    """What says which cells a sweep has: its request, with the axes behind the lengths."""
    names = [name for name in OPTIONS if name not in AXES]
    place = names.index("seq") + 1
    return tuple(_sweep_option(name) for name in (*names[:place], *AXES, *names[place:]))


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
    """What says which cells of saved profiles are meant: one value on each axis."""
    return tuple(
        _option(name, axis, bool | None if axis.switch else str | None, "", panel)
        for name, axis in AXES.items()
    )


def _option(name: str, spec: OptionSpec, kind: Any, default: str, panel: str) -> Option:
    """A value of None says that the option was not given; `default` is what help shows."""
    flag = f"--{name.replace('_', '-')}"
    names = [f"{flag}/--no-{flag[2:]}"] if spec.switch else [flag]
    info = typer.Option(
        *names,
        *([spec.short] if spec.short else []),
        help=f"{spec.help} [dim]\\[{default}][/]" if default else spec.help,
        show_default=False,
        metavar=spec.metavar or " ",
        rich_help_panel=panel,
        autocompletion=_completion(name, spec),
    )
    keyword = inspect.Parameter.KEYWORD_ONLY
    return Option(name, keyword, default=None, annotation=Annotated[kind, info])


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
    from effattn_cli.setting import flag

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


def profile_argument(help: str) -> Any:
    return typer.Argument(help=help, autocompletion=profile_names)


def _output(*names: str, help: str, metavar: str | None = None, **more: Any) -> Any:
    return typer.Option(
        *names, help=help, metavar=metavar, show_default=False, rich_help_panel=OUTPUT, **more
    )


Out = Annotated[
    Path | None,
    _output("--out", "-o", help="File to write. [dim]\\[in your data folder][/]", metavar="FILE"),
]
Force = Annotated[bool, _output("--force", help="Replace the file if it exists.", metavar=" ")]
Json = Annotated[bool, _output("--json", help="Print one JSON document.", metavar=" ")]
Quiet = Annotated[bool, _output("--quiet", "-q", help="No progress.", metavar=" ")]
ChartFlag = Annotated[
    bool | None, _output("--chart/--no-chart", help="Draw the curves.", metavar=" ")
]


SHOWN = "What is shown"
VariantFilter = Annotated[
    list[str] | None,
    typer.Option(
        "--variant", "-v", metavar="NAME", show_default=False, rich_help_panel=SHOWN,
        help="Only these, and the baseline: `linformer,performer`. Repeatable.",
        autocompletion=variant_names,
    ),
]  # fmt: skip
SeqFilter = Annotated[
    str | None,
    typer.Option(
        "--seq", "-s", metavar="RANGE", show_default=False, rich_help_panel=SHOWN,
        help="Only these lengths, as `1k..16k`.",
    ),
]  # fmt: skip
NoPager = Annotated[
    bool, _output("--no-pager", help="Print it even where a screen is too small.", metavar=" ")
]


def part(variants: list[str] | None, seq: str | None, values: Mapping[str, Any]) -> "Part":
    """The part of a saved profile that these options say.

    Raises:
        UsageError: a value of an axis cannot be read, or stands for several.
    """
    from effattn_cli.app.part import Part

    return Part(variants=variants or (), seq=seq, setting=filtered(values))


def names_of(options: Iterable[Option]) -> list[str]:
    return [option.name for option in options]
