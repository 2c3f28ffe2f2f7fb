"""The bytes of a page or a chart, by the name of the file they are for."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from effattn_cli.app.reporting import Answer
from effattn_cli.errors import UsageError
from effattn_cli.report.page import document
from effattn_cli.report.page.setting_view import Wish

PICTURES = (".svg", ".png")
CONVERTER = "cairosvg"
SCALE = 2  # pixels of a PNG for each of the drawing's


def check(path: Path, chart: str | None) -> None:
    """Whether such a file can be made, before anything is read for it.

    Raises:
        UsageError: it is a picture without a chart, or the other way round, or needs a package.
    """
    suffix = path.suffix.lower()
    if chart is None and suffix in PICTURES:
        hint = f"--chart latency -o {path.name} writes one chart"
        raise UsageError(f"{str(path)!r}: a page is HTML", hint)
    if chart is not None and suffix not in PICTURES:
        hint = f"-o {chart}.svg"
        raise UsageError(f"{str(path)!r}: a chart is written as SVG or PNG", hint)
    if suffix == ".png" and find_spec(CONVERTER) is None:
        hint = f"pip install {CONVERTER}, or -o {path.stem}.svg"
        raise UsageError(f"PNG needs the package {CONVERTER!r}, which is not installed", hint)


def made(answer: Answer, path: Path, chart: str | None) -> bytes:
    """UTF-8 of HTML or SVG, or a PNG."""
    wish = Wish(limits=answer.limits, seq=answer.seq)
    if chart is None:
        return document.page(answer.profiles, wish).encode(errors="replace")
    (profile,) = answer.profiles.values()
    drawing = document.chart(profile, chart, wish).encode(errors="replace")
    if path.suffix.lower() == ".png":
        return bytes(import_module(CONVERTER).svg2png(bytestring=drawing, scale=SCALE))
    return drawing
