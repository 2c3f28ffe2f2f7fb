"""Which model is meant, and in which layouts, as it is typed."""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

from effattn_cli.architecture import Model
from effattn_cli.catalog import Catalog
from effattn_cli.errors import UsageError
from effattn_cli.models import presets, reading, replacing
from effattn_cli.models.replacing import Change
from effattn_cli.plan.variant_choices import select
from effattn_cli.quantities import parse_share


def found(text: str) -> Model:
    """The model of a preset, a config.json, or a folder with one.

    Raises:
        UsageError: there is no such preset or file, or it cannot be read right.
    """
    if text.lower() in presets.configs():
        return presets.model(text.lower())
    path, is_folder = Path(text), False
    with suppress(OSError, ValueError):  # a name too long for a path is no folder
        is_folder = path.is_dir()
    if path.suffix != ".json" and not is_folder:
        raise presets.unknown_name(text)
    return reading.read(path)


def arranged(model: Model, replacements: Sequence[str], keep: str | None) -> tuple[Model, ...]:
    """The layouts that `--replace full=gated-deltanet --keep 1/2,1/4` asks for: one for each share
    of the layers that stay; none where nothing is replaced.

    Raises:
        UsageError: they cannot be read, or name no kind of layer or no variant.
    """
    if not replacements:
        if keep is not None:
            raise UsageError("--keep needs --replace", "give --replace full=gated-deltanet, too")
        return ()
    return tuple(_layouts(model, replacements, kept_shares(keep or "0")))


def _layouts(
    model: Model, replacements: Sequence[str], fractions: Sequence[Fraction]
) -> Iterator[Model]:
    for fraction in fractions:
        layout = model
        for text in replacements:
            layout = replacing.changed(layout, change_of(layout, text, fraction))
        yield layout


def change_of(model: Model, text: str, keep: Fraction) -> Change:
    """The change that `full=gated-deltanet` asks for.

    Raises:
        UsageError: it cannot be read, or names no kind of layer or no variant.
    """
    word, equals, typed = text.partition("=")
    if not equals or not word.strip() or not typed.strip():
        hint = f"its kinds of layers: {', '.join(replacing.kinds(model))}"
        raise UsageError(f"--replace: {text!r} is not like full=gated-deltanet", hint)
    choices = select((typed.strip(),), Catalog())
    if len(choices) != 1:
        raise UsageError(f"--replace: {typed!r} stands for {len(choices)} variants, name one")
    kind = replacing.kind_of(model, word.strip())
    return Change(kind=kind, variant=choices[0].name, options=choices[0].typed, keep=keep)


def kept_shares(text: str) -> tuple[Fraction, ...]:
    """Shares of layers that keep their kind, from a comma list: `1/2,25%,0`.

    Raises:
        UsageError: one is none.
    """
    return tuple(dict.fromkeys(_share(item.strip()) for item in text.split(",")))


def _share(text: str) -> Fraction:
    match = re.fullmatch(r"([0-9]{1,4})\s*/\s*([1-9][0-9]{0,3})", text)
    if match is None:
        return Fraction(parse_share(text, "--keep")).limit_denominator(1000)
    fraction = Fraction(int(match[1]), int(match[2]))
    if fraction >= 1:
        raise UsageError(f"--keep: {text!r} is not a share below 1 (example: 1/4)")
    return fraction
