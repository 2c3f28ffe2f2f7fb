"""The man pages, made from the commands and from docs/tasks.md.

    python -m benchmarks.man_pages              # writes them anew

`man effattn` is the overview, and `man effattn-NAME` a command. The wheel has them in
share/man/man1, where man finds them beside an environment's bin.
"""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from typer.main import get_command

from effattn_cli import __version__, cli
from effattn_cli.errors import EXIT_CODES

ROOT = Path(__file__).parent.parent
FOLDER, TASKS = ROOT / "docs" / "man", ROOT / "docs" / "tasks.md"
TASK = re.compile(r"^## (.+?)\n\n```sh\n(effattn .+?)\n```", re.MULTILINE)
FILES = (
    (
        "~/.local/share/effattn",
        "Saved profiles and evaluations, and measured rooflines. XDG_DATA_HOME moves it; on macOS"
        " it is in ~/Library/Application Support.",
    ),
)
#: Markup of rich in help.
MARKUP = {"[dim]": "", "[/]": "", "\\[": "["}


def pages() -> Mapping[str, str]:
    """The text of each page, by the name of its file."""
    group: Any = get_command(cli.app)
    made = {"effattn.1": _overview(group)}
    for name, command in group.commands.items():
        made[f"effattn-{name}.1"] = _command(name, command)
    return made


def tasks() -> list[tuple[str, str]]:
    """Title and command of each task of the readers' page."""
    return TASK.findall(TASKS.read_text(encoding="utf-8"))


def _overview(group: Any) -> str:
    commands = [(f"effattn {name}", _first(command)) for name, command in group.commands.items()]
    return _page(
        "effattn",
        group.help,
        ("SYNOPSIS", ["effattn [OPTIONS] COMMAND [ARGUMENTS]"]),
        ("COMMANDS", _entries(commands)),
        ("OPTIONS", _entries(map(_option, _options(group)))),
        ("EXAMPLES", _examples(tasks())),
        ("EXIT STATUS", _entries((str(code), said) for code, said in EXIT_CODES.items())),
        ("ENVIRONMENT", [group.epilog]),
        ("FILES", _entries(FILES)),
        ("SEE ALSO", [", ".join(f"effattn-{name}(1)" for name in group.commands)]),
    )


def _command(name: str, command: Any) -> str:
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    typed = " ".join([f"effattn {name} [OPTIONS]", *(one.metavar for one in arguments)])
    own = [(title, said) for title, said in tasks() if said.split()[1] == name]
    return _page(
        f"effattn-{name}",
        _first(command),
        ("SYNOPSIS", [typed]),
        ("DESCRIPTION", (f".PP\n{_text(said)}" for said in command.help.split("\n\n"))),
        ("ARGUMENTS", _entries((one.metavar, one.help) for one in arguments)),
        ("OPTIONS", _panels(_options(command))),
        ("EXAMPLES", _examples(own)),
        ("SEE ALSO", ["effattn(1)"]),
    )


def _first(command: Any) -> str:
    return str(command.help).split("\n\n")[0]


def _options(command: Any) -> list[Any]:
    return [one for one in command.params if one.param_type_name == "option"]


def _page(name: str, about: str, *sections: tuple[str, Iterable[str]]) -> str:
    """A page of those sections that are not empty; lines that begin with a dot are macros."""
    lines = [f'.TH "{_plain(name.upper())}" "1" "" "effattn {__version__}" "effattn"']
    about = about[0].lower() + about[1:].rstrip(".")
    lines += [".nh", ".ad l", ".SH NAME", f"{_plain(name)} \\- {_text(about)}"]
    for title, content in sections:
        if body := [line if line.startswith(".") else _text(line) for line in content]:
            lines += [f".SH {title}", *body]
    return "\n".join(lines) + "\n"


def _entries(entries: Iterable[tuple[str, str]]) -> Iterator[str]:
    for word, said in entries:
        yield f".TP\n\\fB{_plain(word)}\\fR\n{_text(said)}"


def _panels(options: Sequence[Any]) -> Iterator[str]:
    """The options under the headings that the help has, in its order."""
    panels = [one.rich_help_panel or "Options" for one in options]
    order = {panel: index for index, panel in enumerate(dict.fromkeys(panels))}
    listed = sorted(options, key=lambda one: order[one.rich_help_panel or "Options"])
    for panel, group in groupby(listed, lambda one: one.rich_help_panel or "Options"):
        if len(order) > 1:
            yield f".SS {panel}"
        yield from _entries(map(_option, group))


def _option(option: Any) -> tuple[str, str]:
    metavar = (option.metavar or "").strip()
    words = ", ".join([*option.opts, *option.secondary_opts])
    usual = "" if option.default in (None, False) else str(option.default)
    default = f" [{usual}]" if option.show_default and usual else ""
    return f"{words} {metavar}".strip(), f"{option.help}{default}"


def _examples(examples: Iterable[tuple[str, str]]) -> Iterator[str]:
    for title, typed in examples:
        yield f".TP\n{_text(title)}:\n\\fB{_plain(typed)}\\fR"


def _text(said: str) -> str:
    """Words as roff has them: `code` in bold, markup of rich taken away."""
    bare = " ".join(said.split())
    for mark, plain in MARKUP.items():
        bare = bare.replace(mark, plain)
    parts = [_plain(part) for part in bare.split("`")]
    return "".join(f"\\fB{part}\\fR" if index % 2 else part for index, part in enumerate(parts))


def _plain(words: str) -> str:
    """As it stands there: roff reads backslashes, hyphens, and the dot that begins a line."""
    escaped = words.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    escaped = f"\\&{escaped}" if escaped.startswith(".") else escaped
    return "".join(each if each.isascii() else f"\\[u{ord(each):04X}]" for each in escaped)


def write() -> None:
    FOLDER.mkdir(exist_ok=True)
    made = pages()
    for path in FOLDER.iterdir():
        if path.name not in made:
            path.unlink()
    for name, text in made.items():
        (FOLDER / name).write_text(text, encoding="ascii")


if __name__ == "__main__":
    write()
    sys.stdout.write(f"wrote {FOLDER}\n")
