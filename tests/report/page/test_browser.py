"""The page in a real browser: nothing is loaded, nothing overlaps, keys reach everything."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from effattn_cli import library
from effattn_cli.plan.budgets import limit
from effattn_cli.report.page import document
from effattn_cli.report.page.setting_view import Wish
from tests.report.page.test_document import HOSTILE, a_hostile_profile

pytestmark = pytest.mark.in_ci

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
]  # fmt: skip
LINFORMER, ALL = "ref:epyc-zen5-2-threads-linformer", "ref:epyc-zen5-2-threads"
#: Pairs of texts of a drawing whose boxes share more than a hair, in a page whose parts are open.
OVERLAPS = """() => [...document.querySelectorAll('svg')].flatMap((svg) => {
  const texts = [...svg.querySelectorAll('text')].map((t) => [t.textContent, t.getBBox()]);
  return texts.flatMap(([a, one], i) => texts.slice(i + 1).flatMap(([b, two]) =>
    one.x + 1 < two.x + two.width && two.x + 1 < one.x + one.width &&
    one.y + 3 < two.y + two.height && two.y + 3 < one.y + one.height ? [[a, b]] : []));
})"""
#: Texts of a drawing that its edge cuts off.
CUT = """() => [...document.querySelectorAll('svg')].flatMap((svg) => {
  const wide = svg.viewBox.baseVal.width + 1;
  return [...svg.querySelectorAll('text')].filter((t) => {
    const box = t.getBBox();
    return box.x < -1 || box.x + box.width > wide;
  }).map((t) => t.textContent);
})"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    reason = "pip install 'effattn[browser]' for the tests of the page in a browser"
    playwright = pytest.importorskip("playwright.sync_api", reason=reason)
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"none of {', '.join(NAMES)} is installed")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=program, args=QUIET)
        yield started
        started.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Addresses of pages, by what is in them."""
    folder: Path = tmp_path_factory.mktemp("pages")
    profiles = {name: library.read(name) for name in (LINFORMER, ALL)}
    wish = Wish(limits=[limit("latency", "50ms"), limit("memory", "200MiB")])
    made = {
        "small": document.page({LINFORMER: profiles[LINFORMER]}),
        "large": document.page({ALL: profiles[ALL]}, wish),
        "several": document.page(profiles),
        "hostile": document.page({HOSTILE: a_hostile_profile()}, wish),
    }
    for name, markup in made.items():
        (folder / f"{name}.html").write_text(markup)
    return {name: (folder / f"{name}.html").as_uri() for name in made}


def opened(browser: Any, address: str, **how: Any) -> tuple[Any, list[str]]:
    """The page, and what it loaded or complained of."""
    page = browser.new_page(**{"viewport": {"width": 1280, "height": 900}, **how})
    found: list[str] = []
    page.on("console", lambda message: found.append(message.text))
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("dialog", lambda dialog: found.append(dialog.message))
    page.on("request", lambda request: found.append(request.url))
    page.goto(address)
    found.remove(address)
    return page, found


@pytest.mark.parametrize("name", ["small", "large", "several", "hostile"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_it_is_quiet_and_fits(
    name: str, scheme: str, width: int, browser: Any, pages: dict[str, str]
) -> None:
    page, found = opened(
        browser, pages[name], color_scheme=scheme, viewport={"width": width, "height": 900}
    )
    assert found == []
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") == 0
    folder = os.environ.get("EFFATTN_SCREENSHOTS")  # to be looked at
    if folder:
        page.screenshot(path=f"{folder}/{name}-{scheme}-{width}.png", full_page=name == "small")
    page.close()


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("name", ["small", "large", "several"])
def test_no_text_of_a_chart_overlaps_another_or_is_cut(
    name: str, width: int, browser: Any, pages: dict[str, str]
) -> None:
    page, _ = opened(browser, pages[name], viewport={"width": width, "height": 900})
    assert page.evaluate(OVERLAPS) == []
    assert page.evaluate(CUT) == []
    page.close()


@pytest.mark.parametrize("name", ["small", "large", "hostile"])
def test_axe_finds_nothing(name: str, browser: Any, pages: dict[str, str]) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe")
    for scheme in ("light", "dark"):
        page, _ = opened(browser, pages[name], color_scheme=scheme)
        if name != "large":  # it has thousands of cells, of the same few kinds
            page.evaluate("document.querySelectorAll('details').forEach((d) => d.open = true)")
        violations = axe.Axe().run(page).response["violations"]
        assert [(each["id"], each["nodes"][0]["html"]) for each in violations] == []
        page.close()


def test_keys_reach_all_parts_and_open_them(browser: Any, pages: dict[str, str]) -> None:
    page, _ = opened(browser, pages["small"])
    wanted = page.locator("summary, th button, .scroll").count()
    page.evaluate("document.querySelectorAll('details').forEach((part) => part.open = false)")
    visible = page.locator("summary:visible").count()
    reached = 0
    for _ in range(4 * wanted):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.tagName") == "SUMMARY":
            page.keyboard.press("Enter")
            reached += 1
        if page.evaluate("document.activeElement === document.body"):
            break
    assert reached == visible
    assert page.locator("details:not([open])").count() == 0
    page.close()


def test_tables_are_sorted_and_filtered(browser: Any, pages: dict[str, str]) -> None:
    page, _ = opened(browser, pages["large"])
    table = page.locator("table.heat").first

    def first() -> str:
        return str(table.locator("tbody tr:visible td:last-child").first.inner_text())

    slowest = "over the time limit"
    button = table.locator("thead button").last
    button.click()
    assert table.locator("th[aria-sort=ascending]").count() == 1
    ascending = first()
    button.click()
    assert table.locator("th[aria-sort=descending]").count() == 1
    assert float(first().strip("~?x")) > float(ascending.strip("~?x"))
    assert slowest not in (ascending, first())
    page.locator(".filter input").first.wait_for()
    box = page.locator("table.heat").first.locator("xpath=../preceding-sibling::label[1]/input")
    box.fill("linformer")
    assert table.locator("tbody tr:visible").count() == 1
    page.close()


def test_without_javascript_everything_is_there(browser: Any, pages: dict[str, str]) -> None:
    page, found = opened(browser, pages["small"], java_script_enabled=False)
    assert found == []
    assert page.locator("button, input").count() == 0
    page.locator("summary", has_text="Table").first.click()
    assert page.locator("table:visible").first.inner_text().count("±") >= 10
    page.close()


def test_it_prints_on_light_ground_with_all_parts_open(browser: Any, pages: dict[str, str]) -> None:
    page, _ = opened(browser, pages["small"], color_scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == "rgb(255, 255, 255)"
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    assert page.pdf().startswith(b"%PDF")
    page.close()
