"""Assembles the commands, and turns every error into one line and an exit code.

Nothing here or in the commands imports torch; that would cost every answer two seconds.
"""

import contextlib
import gc
import io
import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperOption
from typer.exceptions import TyperException

from effattn_cli import __version__
from effattn_cli.commands import bash_completion
from effattn_cli.commands.carry_out import carry_out
from effattn_cli.commands.check import check
from effattn_cli.commands.choose import choose
from effattn_cli.commands.compare import compare
from effattn_cli.commands.crossover import crossover
from effattn_cli.commands.devices import devices
from effattn_cli.commands.evaluate import evaluate
from effattn_cli.commands.export import export
from effattn_cli.commands.export_model import export_model
from effattn_cli.commands.merge import merge
from effattn_cli.commands.model import model
from effattn_cli.commands.new import new
from effattn_cli.commands.notes import told
from effattn_cli.commands.presets import presets
from effattn_cli.commands.profile import profile
from effattn_cli.commands.profiles import profiles
from effattn_cli.commands.report import report
from effattn_cli.commands.schema import schema
from effattn_cli.commands.score import score
from effattn_cli.commands.show import show
from effattn_cli.commands.variants import variants
from effattn_cli.errors import NEAR, EffattnError, Stopped
from effattn_cli.report import colors, stand_ins
from effattn_cli.setting import FORMER
from effattn_cli.units import clean

FORMAT = ("--output-format", "json")
SURVIVORS = 300_000  # new objects between two looks for garbage; two large profiles make as many

ENVIRONMENT = (
    "Every option can come from the environment: `EFFATTN_PROFILE_ROUNDS=5` is `--rounds 5` of"
    " `effattn profile`."
)


class Command(TyperCommand):
    """Help does not repeat the variable of each option: its epilog says how they are named."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        for parameter in self.params:
            if isinstance(parameter, TyperOption):
                parameter.show_envvar = False

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """An argument that is needed stands without braces."""
        return [piece.strip("{}") for piece in super().collect_usage_pieces(ctx)]


app = typer.Typer(
    help="Profile attention variants on your hardware, and find the one that fits your budget.",
    epilog=ENVIRONMENT,
    invoke_without_command=True,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "auto_envvar_prefix": "EFFATTN",
    },
    pretty_exceptions_enable=False,
)
for command in (
    profile, model, show, profiles, report, evaluate, choose, crossover, compare, score, merge,
    export, export_model,
    variants, presets, devices, check, new, schema,
):  # fmt: skip
    app.command(cls=Command)(command)
app.command(cls=Command, hidden=True)(carry_out)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"effattn {__version__}")
        raise typer.Exit


def _color(when: str) -> str:
    if when != "auto":
        from typer import rich_utils  # noqa: PLC0415  # which makes the help, and loads rich

        rich_utils.COLOR_SYSTEM = colors.SYSTEMS[when]
    os.environ[colors.VARIABLE] = when
    return when


def _of_all(*names: str, help: str, **more: Any) -> Any:
    return typer.Option(*names, help=help, is_eager=True, show_envvar=False, **more)


Color = Annotated[
    colors.When,
    _of_all("--color", metavar="WHEN", help="Colours: auto, always, or never.", callback=_color),
]
Version = Annotated[
    bool,
    _of_all(
        "--version", "-V", help="Show the version.", callback=_version, allow_from_autoenv=False
    ),
]
Debug = Annotated[bool, _of_all("--debug", help="Show tracebacks.", allow_from_autoenv=False)]


@app.callback()
def options(
    context: typer.Context, color: Color = "auto", debug: Debug = False, version: Version = False
) -> None:
    """Options of every command."""
    del color, debug, version  # each is seen to where it is read
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> NoReturn:
    """Runs the command line; the only place where a process of effattn ends."""
    if sys.stdout is None:  # closed by whoever called
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
    stand_ins.register()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=stand_ins.NAME)  # an ASCII terminal has no µ
    if not os.environ.get("COLUMNS", "").strip("0").isdigit():  # a width of nothing shows nothing
        os.environ.pop("COLUMNS", None)
    if bash_completion.is_asked():
        bash_completion.answer(partial(app, standalone_mode=False))
        sys.exit()
    gc.set_threshold(SURVIVORS)
    debug = "--debug" in sys.argv[1:]
    sys.argv[1:] = _in_front([word for word in sys.argv[1:] if word != "--debug"])
    sys.exit(_run(debug=debug))


def _in_front(words: list[str]) -> list[str]:
    """With `--color`, which may stand anywhere, before the command."""
    for index, word in enumerate(words):
        if word == "--":
            break
        count = 1 if word.startswith("--color=") else 2 if word == "--color" else 0
        if count:
            return [*words[index : index + count], *words[:index], *words[index + count :]]
    return words


def _run(*, debug: bool) -> int:
    try:
        code = app(standalone_mode=False) or 0
        if code == Stopped.exit_code:  # typer makes that of a Ctrl-C
            raise KeyboardInterrupt
        sys.stdout.flush()
    except (KeyboardInterrupt, typer.Abort):
        _print_problem("interrupted", None, Stopped.exit_code)
        return Stopped.exit_code
    except (BrokenPipeError, SystemExit):  # the reader, `head` say, has seen enough; typer exits
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if debug:
            raise
        message, hint, code = _words(error)
        message = clean(" ".join(message.split()))
        told(message if code == Stopped.exit_code else f"error: {message}")
        if hint:
            print(f"hint: {clean(hint)}", file=sys.stderr)
        if not _is_unwritable(error):
            _print_problem(message, clean(hint) if hint else None, code)
    return code


def _asks_for_json(words: Sequence[str]) -> bool:
    """Typed so, whether or not the rest could be read."""
    return "--json" in words or "--output-format=json" in words or FORMAT in pairwise(words)


def _print_problem(message: str, hint: str | None, code: int) -> None:
    """Where `--json` was typed, the error as a document: stdout holds one either way."""
    if not _asks_for_json(sys.argv[1:]):
        return
    from effattn_cli.report.documents import kinds  # noqa: PLC0415
    from effattn_cli.report.documents.outcomes import Problem  # noqa: PLC0415

    with contextlib.suppress(OSError):
        print(kinds.text(Problem(message=message, hint=hint, exit_code=code)), flush=True)


def _is_unwritable(error: Exception) -> bool:
    """Whether it is of the stream that answers are printed on."""
    return isinstance(error, OSError) and error.filename is None


def _words(error: Exception) -> tuple[str, str | None, int]:
    """What to say of an error, a hint where there is one, and the exit code."""
    if isinstance(error, EffattnError):
        return str(error), error.hint, error.exit_code
    if isinstance(error, TyperException):
        # The error of an argument that is missing holds no message until it is formatted.
        text = getattr(error, "message", "") or error.format_message()
        message, _, near = str(text).partition(" Did you mean ")
        near = _near(error, near)
        names = getattr(getattr(error, "param", None), "opts", None) or [""]
        if names[0].startswith("-") and names[0] not in message:
            message = f"{max(names, key=len)}: {message}"
        return message.rstrip(". "), f"did you mean {near}?" if near else None, 2
    if isinstance(error, OSError) and error.filename is None and error.strerror:
        return f"cannot write: {error.strerror}", None, 2
    return f"internal: {type(error).__name__}: {error}", "--debug shows where", 70


def _near(error: TyperException, message: str) -> str:
    """The word that may have been meant, in quotes; typer tells that of a command."""
    option = getattr(error, "option_name", "").removeprefix("--")
    if option in FORMER:
        return f"'--{FORMER[option]} {option}'"
    others = {word.removeprefix("--"): word for word in getattr(error, "possibilities", ()) or ()}
    like = get_close_matches(option, others, 1, NEAR)
    return repr(others[like[0]]) if like else message.partition(", ")[0].rstrip("?")
