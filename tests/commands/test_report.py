"""`effattn report`, as a person types it."""

import importlib.util
import webbrowser
from pathlib import Path

import pytest

from effattn_cli import store
from effattn_cli.records import Profile
from tests.builders import MS, a_cell, a_profile, measured
from tests.report.page.reading import Page
from tests.report.test_tables import a_sweep
from tests.running import effattn

REF = "ref:epyc-zen5-2-threads-linformer"


def saved(folder: Path, profile: Profile | None = None) -> str:
    path = folder / "p.yaml"
    path.write_text(store.as_yaml(profile or a_profile(*a_sweep())))
    return str(path)


def test_a_page_is_written_and_never_over_another_file(tmp_path: Path) -> None:
    name = saved(tmp_path)
    out = tmp_path / "page.html"
    done = effattn("report", name, "-o", str(out))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", f"saved: {out}\n")
    assert "linformer against sdpa" in Page(out.read_text()).text
    out.write_text("mine")
    again = effattn("report", name, "-o", str(out))
    assert again.returncode == 2
    assert "already exists" in again.stderr
    assert out.read_text() == "mine"
    assert effattn("report", name, "-o", str(out), "--force").returncode == 0
    assert out.read_text().startswith("<!doctype html>")


def test_without_a_name_it_is_report_html_here(tmp_path: Path) -> None:
    assert effattn("report", saved(tmp_path), cwd=tmp_path).returncode == 0
    assert (tmp_path / "report.html").read_text().endswith("</html>\n")


def test_the_browser_opens_only_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    name = saved(tmp_path)
    effattn("report", name, "-o", str(tmp_path / "a.html"))
    assert opened == []
    effattn("report", name, "-o", str(tmp_path / "b.html"), "--open")
    assert opened == [(tmp_path / "b.html").as_uri()]


def test_a_chart_alone_as_svg(tmp_path: Path) -> None:
    out = tmp_path / "latency.svg"
    assert effattn("report", REF, "--chart", "latency", "-o", str(out)).returncode == 0
    assert "Latency over tokens" in out.read_text()


def test_a_chart_as_png_where_that_can_be_made(tmp_path: Path) -> None:
    pytest.importorskip("cairosvg", reason="PNG needs cairosvg", exc_type=ImportError)
    out = tmp_path / "speedup.png"
    assert effattn("report", REF, "--chart", "speedup", "-o", str(out)).returncode == 0
    assert out.read_bytes().startswith(b"\x89PNG")


def test_a_png_that_cannot_be_made_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(
        "effattn_cli.report.page.output.find_spec",
        lambda name: None if name == "cairosvg" else there(name),
    )
    done = effattn("report", REF, "--chart", "latency", "-o", str(tmp_path / "l.png"))
    assert done.returncode == 2
    assert "PNG needs the package 'cairosvg'" in done.stderr
    assert "l.svg" in done.stderr


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (["--chart", "latncy", "-o", "a.svg"], "'latncy'", ""),
        (["--chart", "state", "-o", "a.svg"], "nothing for the chart 'state'", "latency, peak"),
        (["--chart", "latency"], "a chart is written as SVG or PNG", "-o latency.svg"),
        (["-o", "a.svg"], "a page is HTML", "--chart latency -o a.svg"),
        (["-v", "linfromer"], "'linfromer'", "did you mean 'linformer'?"),
        (["-s", "1k,2k"], "stands for 2 lengths", "give one"),
        (["--latency", "50"], "'50'", "did you mean '50ms' or '50s'?"),
        (["--phase", "train"], "nothing was measured with phase train", "--phase train"),
        (["-o", "missing/a.html"], "there is no folder 'missing'", ""),
        ([REF, "--chart", "latency", "-o", "a.svg"], "--chart draws one profile", "side by side"),
    ],
)
def test_what_cannot_be_done_is_said(
    words: list[str], error: str, hint: str, tmp_path: Path
) -> None:
    done = effattn("report", REF, *words, cwd=tmp_path)
    assert done.returncode == 2
    assert error in done.stderr.splitlines()[-2 if hint else -1]
    assert hint in done.stderr
    assert [*tmp_path.iterdir()] == []


def test_only_the_variants_and_the_setting_that_are_asked_for(tmp_path: Path) -> None:
    causal = [measured(a_cell(label, causal=True), MS) for label in ("sdpa", "luna")]
    name, out = saved(tmp_path, a_profile(*a_sweep(), *causal)), tmp_path / "a.html"
    effattn("report", name, "-o", str(out), "--no-causal")
    text = out.read_text()
    assert "luna" not in Page(text).table("Every cell").rows[1]
    assert "causal, dim" in text
    assert text.count("<section>") == 4  # the setting, what was not measured, variants, repeating
    effattn("report", name, "-o", str(out), "--force", "--causal", "-v", "luna")
    rows = Page(out.read_text()).table("Every cell").rows
    assert [row[1] for row in rows] == ["variant", "sdpa", "luna"]


def test_one_chart_is_of_one_setting(tmp_path: Path) -> None:
    twice = [measured(a_cell(heads=heads), MS) for heads in (4, 8)]
    name, out = saved(tmp_path, a_profile(*twice)), str(tmp_path / "a.svg")
    done = effattn("report", name, "--chart", "latency", "-o", out)
    assert done.returncode == 2
    assert "say which: --heads" in done.stderr
    assert effattn("report", name, "--chart", "latency", "-o", out, "--heads", "4").returncode == 0


def test_several_profiles_stand_side_by_side(tmp_path: Path) -> None:
    out = tmp_path / "a.html"
    assert effattn("report", saved(tmp_path), REF, "-o", str(out)).returncode == 0
    assert "Side by side" in Page(out.read_text()).text
