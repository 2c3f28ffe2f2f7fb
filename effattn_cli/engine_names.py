"""The engines that `--engine` can name: the files of the folder `engines`, and those of installed
packages. Nothing is imported for it.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from effattn_cli.errors import unknown

GROUP = "effattn.engines"  # of entry points: a name, and a module as those of `engines` are
EAGER = "eager"
#: In the environment of measuring processes: a folder for what those of a sweep share, such as the
#: graph of a program. It goes when the sweep ends.
SCRATCH = "EFFATTN_SCRATCH"
SYNONYMS = {"compiled": "compile", "torch-compile": "compile", "ort": "onnxruntime"}


@cache
def modules() -> Mapping[str, str]:
    """The module of each engine, by its name."""
    return _installed() | _own()


def module(name: str) -> str:
    """The module of an engine. Those of packages are looked for only where it is none of effattn's:
    that takes each measuring process 20 ms.

    Raises:
        UsageError: there is none; a profile may name one that is not installed here.
    """
    if name not in _own():
        read(name, "--engine")
    return _own().get(name) or modules()[name]


@cache
def _own() -> dict[str, str]:
    files = sorted((Path(__file__).parent / "engines").glob("[a-z]*.py"))
    return {path.stem.replace("_", "-"): f"effattn_cli.engines.{path.stem}" for path in files}


def _installed() -> dict[str, str]:
    from importlib import metadata  # noqa: PLC0415

    return {entry.name: entry.value for entry in metadata.entry_points(group=GROUP)}


def read(text: str, flag: str) -> Sequence[str]:
    """A comma list of engines, each once."""
    items = tuple(dict.fromkeys(item.strip().lower() for item in text.split(",")))
    for item in items:
        if item not in modules():
            raise unknown(flag.lstrip("-"), item, modules(), SYNONYMS)
    return items
