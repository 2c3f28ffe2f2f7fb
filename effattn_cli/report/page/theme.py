"""Colours on light and on dark ground, and the rules of style that use them."""

import re
from functools import cache
from pathlib import Path

CURVES = 8  # the baseline's and seven more
#: By name, on light and on dark ground. The contrast of text and of curves is 4.5:1 at least.
COLOURS = {
    "ground": ("#ffffff", "#0f1318"), "card": ("#f6f8fa", "#171d24"),
    "rule": ("#d5dae0", "#313a45"), "ink": ("#1b1f24", "#e8edf2"), "soft": ("#57606a", "#9aa7b4"),
    "faint": ("#c2c9d1", "#515d6a"),
    "accent": ("#0b62bd", "#6cb2ff"), "bad": ("#b3261e", "#ff8a80"), "good": ("#116329", "#56d07f"),
    # of curves, the first being the baseline's
    "c0": ("#1b1f24", "#f0f3f6"), "c1": ("#0b62bd", "#6cb2ff"), "c2": ("#b93a06", "#ff9d5c"),
    "c3": ("#0d7048", "#3fd49b"), "c4": ("#7434d6", "#b79bff"), "c5": ("#ad1457", "#ff8cc0"),
    "c6": ("#0c6a80", "#35cfe6"), "c7": ("#7a5600", "#ecc34a"),
    # of a heat map: better and worse than the baseline, from little to much
    "b1": ("#e3effb", "#14293f"), "b2": ("#bddbf7", "#173b61"), "b3": ("#86bdf0", "#1a5288"),
    "b4": ("#4f9fe6", "#1d6ab3"), "w1": ("#fdeee0", "#3a2512"), "w2": ("#fad3ae", "#5a3513"),
    "w3": ("#f4ad6d", "#7d4412"), "w4": ("#ec8a38", "#a2540f"),
}  # fmt: skip
_FOLDER = Path(__file__).parent


@cache
def _rules(name: str) -> str:
    """A file of style without its comments and its blanks at the ends of lines."""
    text = re.sub(r"/\*.*?\*/", "", (_FOLDER / name).read_text(encoding="utf-8"), flags=re.DOTALL)
    return "".join(line.strip() for line in text.splitlines())


def _declared(side: int) -> str:
    return "".join(f"--{name}:{pair[side]};" for name, pair in COLOURS.items())


def of_page() -> str:
    """The style of a page: light, dark where the reader's system is, and light in print."""
    dark = f"@media screen and (prefers-color-scheme:dark){{:root{{{_declared(1)}}}}}"
    curves = "".join(f".c{number}{{color:var(--c{number})}}" for number in range(CURVES))
    return f":root{{{_declared(0)}}}{dark}{_rules('chart.css')}{curves}{_rules('page.css')}"


def literal() -> str:
    """The style of a chart alone, on light ground, for programs that know no variables."""
    curves = "".join(f".c{number}{{color:{COLOURS[f'c{number}'][0]}}}" for number in range(CURVES))
    return re.sub(r"var\(--(\w+)\)", lambda m: COLOURS[m[1]][0], _rules("chart.css")) + curves


def script() -> str:
    lines = (_FOLDER / "script.js").read_text(encoding="utf-8").splitlines()
    return "\n".join(line.strip() for line in lines if line.strip())
