"""Assembles the commands, and turns every error into one line and an exit code.

Nothing here or in the commands imports torch; that would cost every answer two seconds.
"""

import os
import sys
from typing import Annotated, NoReturn

import typer
from typer.exceptions import TyperException

from effattn_cli import __version__
from effattn_cli.commands.profile import profile
from effattn_cli.commands.show import show
from effattn_cli.commands.variants import variants
from effattn_cli.errors import EffattnError

INTERRUPTED = 130

app = typer.Typer(
    help="Profile attention variants on your hardware, and choose one for your budget.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
for command in (profile, variants, show):
    app.command()(command)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"effattn {__version__}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options of every command."""


def main() -> NoReturn:
    """Runs the command line; the only place where a process of effattn ends."""
    debug = "--debug" in sys.argv[1:]
    sys.argv[1:] = [word for word in sys.argv[1:] if word != "--debug"]  # it may stand anywhere
    try:
        code = app(standalone_mode=False) or 0
        sys.stdout.flush()
    except EffattnError as error:
        if debug:
            raise
        code = _fail(str(error), error.hint, error.exit_code)
    except TyperException as error:
        message, _, near = _told(error).partition(" Did you mean ")
        code = _fail(message.rstrip(". "), f"did you mean {near}" if near else _near(error), 2)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except BrokenPipeError:  # the reader, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception as error:
        if debug:
            raise
        code = _fail(f"internal: {type(error).__name__}: {error}", "--debug shows where", 70)
    sys.exit(code)


def _fail(message: str, hint: str | None, code: int) -> int:
    lines = [f"error: {' '.join(message.split())}"] + ([f"hint: {hint}"] if hint else [])
    print("\n".join(lines), file=sys.stderr)
    return code


def _told(error: TyperException) -> str:
    return str(getattr(error, "message", error))


def _near(error: TyperException) -> str | None:
    near = getattr(error, "possibilities", None)
    return f"did you mean {sorted(near)[0]!r}?" if near else None
