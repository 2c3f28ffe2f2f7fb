"""The page: complete in itself, true to the profile, safe whatever the profile holds."""

import subprocess
import sys
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from msgspec.structs import replace

from effattn_cli import library, units
from effattn_cli.metrics import LATENCY, PEAK
from effattn_cli.plan.budgets import limit
from effattn_cli.records import Profile, Record, Scores
from effattn_cli.report import phrases
from effattn_cli.report.page import document, theme
from effattn_cli.report.page.setting_view import Wish
from tests.builders import (
    MIB,
    MS,
    a_card,
    a_cell,
    a_machine,
    a_profile,
    a_variant,
    failed,
    measured,
    pending,
    predicted,
)  # fmt: skip
from tests.report.mixes import mixes
from tests.report.page.reading import Page
from tests.report.page.test_charts import a_crowd
from tests.report.test_tables import a_sweep

CHARTS = ("latency", "peak", "pareto", "roofline", "speedup")
HOSTILE = (
    '<script>alert(1)</script><img src=x onerror=alert(1)>"\' onload="alert(1)" ]]>-->'
    "</title></style></svg>&lt; javascript:alert(1) https://example.org/x url(http://e.org)\x1b[31m\u202e"
)


def read(*records: Record, wish: Wish | None = None) -> Page:
    return Page(document.page({"one": a_profile(*records)}, wish))


def a_large_profile(cells: int = 100) -> Profile:
    labels = ["sdpa", *(f"variant-{number}" for number in range(1, cells // 5))]
    return a_profile(
        *(
            measured(a_cell(label, 1024 * 2**step), MS * 4**step / (place + 1), MIB * 2**step)
            for place, label in enumerate(labels)
            for step in range(5)
        )
    )


def loads_nothing(markup: str) -> None:
    """No address, no style from elsewhere, and only links within the page."""
    assert "//" not in markup
    page = Page(markup)
    assert "url(" not in page.code
    assert "@import" not in page.code
    for tag, attributes in page.tags:
        assert "src" not in attributes
        assert not [name for name in attributes if name.startswith("on")]
        assert tag not in {"link", "img", "iframe", "object", "embed", "form", "base"}
        if "href" in attributes:
            assert (attributes["href"] or "").startswith("#")
    assert len(page.named("script")) == 1


def test_a_page_needs_nothing_from_elsewhere_and_its_policy_says_so() -> None:
    markup = document.page({"one": a_profile(*a_sweep()), "two": a_large_profile()})
    loads_nothing(markup)
    policies = [m["content"] for m in Page(markup).named("meta") if m.get("http-equiv")]
    assert policies == [
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
    ]


def test_links_lead_to_places_of_the_page_and_no_place_is_there_twice() -> None:
    causal = measured(a_cell(causal=True), MS)
    both = {"one": a_profile(*a_sweep(), causal), "two": a_profile(*a_sweep())}
    page = Page(document.page(both))
    places = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(places) == len(set(places))
    links = [(attributes["href"] or "")[1:] for attributes in page.named("a")]
    assert len(links) == 4
    assert set(links) <= set(places)


def test_the_numbers_of_the_tables_are_those_of_the_profile() -> None:
    records = a_sweep()
    page = read(*records)
    latency, peak = page.table("latency, values"), page.table("peak memory, values")
    seqs = [1024, 2048, 4096, 65536, 131072]
    assert latency.rows[0] == ["variant", *map(units.length, seqs)]
    for record in records:
        place = seqs.index(record.cell.seq)
        shown = [table.row(record.cell.label)[place] for table in (latency, peak)]
        if record.failure is not None:
            assert shown == ["out of memory"] * 2
            continue
        spread = phrases.plus_minus(record)
        value = phrases.value(record, LATENCY)
        assert shown == [f"{value} {spread}" if spread else value, phrases.value(record, PEAK)]
    assert latency.row("sdpa")[:3] == ["7.30 ms ±4 %", "29.1 ms ±1 %", "118 ms ±1 %"]
    assert latency.row("sdpa")[3:] == ["~32.9 s ±25 %", "out of memory"]
    heat = page.table("Speed-up over sdpa")
    assert heat.row("linformer") == ["?1.00x", "0.73x", "6.0x", "~59x", ""]
    every = page.table("Every cell")
    assert len(every.rows) == 1 + len(records)
    assert [row[:2] for row in every.rows[1:3]] == [["1k", "sdpa"], ["1k", "linformer"]]


def test_every_cell_without_a_measurement_is_there_with_its_reason() -> None:
    page = read(*a_sweep(), failed(a_cell("linformer", 2**18), "raised", "no <b>room</b>"))
    table = page.table("What was not measured")
    assert table.rows[1:] == [
        ["sdpa", "64k", "predicted from 1k: over the time limit of 30 s"],
        ["sdpa", "128k", "out of memory: would need 41.0 GiB, the limit is 19.2 GiB"],
        ["linformer", "128k", "not measured yet"],
        ["linformer", "256k", "raised an error: no <b>room</b>"],
    ]
    assert "2 cells failed; 2 predicted or not measured yet" in page.text


def test_what_repeats_it_is_there() -> None:
    machine = a_machine(cpu="AMD EPYC", torch="2.13.0+cpu", effattn="0.9.1")
    profile = a_profile(*a_sweep(), machine=machine, command="effattn profile -v 'a b' -s 1k..4k")
    text = Page(document.page({"one": profile})).text
    assert text.count("effattn profile -v 'a b' -s 1k..4k") == 2
    assert "AMD EPYC, 2 cores · torch 2.13.0+cpu · 2026-01-02 · effattn 0.9.1" in text
    assert "2026-01-02 03:04 UTC" in text


def test_each_chart_has_a_title_a_description_and_a_table() -> None:
    page = Page(document.page({"one": replace(a_crowd(), variants=a_crowd().variants)}))
    drawings = page.named("svg")
    assert len(drawings) == 4
    assert all(drawing["role"] == "img" and drawing["aria-label"] for drawing in drawings)
    assert len(page.named("desc")) == 4
    assert len(page.named("figure")) == 4
    for beginning in ("latency, values", "peak memory, values", "Latency and memory", "At the"):
        assert len(page.table(beginning).rows) == 25


def test_each_setting_has_a_part_and_a_link_that_says_what_sets_it_apart() -> None:
    records = [measured(a_cell(seq=seq, phase=phase), MS * seq)
               for phase in ("forward", "train") for seq in (1024, 2048)]  # fmt: skip
    page = read(*records)
    links = [attributes["href"] for attributes in page.named("a")]
    assert links == ["#s1", "#s2"]
    assert "Forwardexact attention (sdpa) takes" in page.text  # the link, then the first finding


def test_limits_are_answered() -> None:
    wish = Wish(limits=[limit("latency", "25ms"), limit("memory", "1GiB")], seq=4096)
    page = read(*a_sweep(), wish=wish)
    assert "Within 25 ms and 1 GiB" in page.text
    assert "Use linformer" in page.text
    table = page.table("The variants against the limits")
    assert table.row("linformer")[-1] == "recommended"
    assert "misses 25 ms" in table.row("sdpa")[-1]
    nothing = read(*a_sweep(), wish=Wish(limits=[limit("latency", "1us")]))
    assert "Nothing meets 1 µs; linformer comes nearest" in nothing.text


def test_profiles_side_by_side_share_their_scales() -> None:
    slower = a_profile(*(measured(a_cell("sdpa", 2**n), 2**n * MS) for n in (10, 12)))
    faster = a_profile(*(measured(a_cell("sdpa", 2**n), 2**n * 1e-6) for n in (10, 11)))
    markup = document.page({"new": faster, "old": slower})
    page = Page(markup)
    parts = markup.split('aria-label="')
    drawn = {part.split('"')[0]: part.split("</svg>")[0] for part in parts}
    first, second = (drawn[f"{name}: Latency over tokens"] for name in ("new", "old"))
    axes = [[piece for piece in text.split("<text ") if "tick end" in piece]
            for text in (first, second)]  # fmt: skip
    assert axes[0] == axes[1]
    assert [row[0] for row in page.table("The profiles").rows] == ["profile", "new", "old"]
    means = page.table("latency, geometric mean")
    assert means.row("sdpa")[-1] == "slower"


def test_sizes() -> None:
    assert len(document.page({"one": a_large_profile()}).encode()) < 300_000
    for name in library.references():
        assert len(document.page({name: library.read(name)}).encode()) < 1_000_000


def test_the_reference_profiles_are_read_whole() -> None:
    for name in library.references():
        profile = library.read(name)
        markup = document.page({name: profile})
        loads_nothing(markup)
        text = Page(markup).text
        assert all(record.cell.label in text for record in profile.records)


def a_hostile_profile() -> Profile:
    """Text from a stranger wherever a profile has text."""
    name = HOSTILE
    card = a_card(title=name, paper=name, time=name, families=(name,))
    records = (
        measured(a_cell("sdpa"), MS),
        measured(replace(a_cell(), variant=name, options={name: name}), MS),
        failed(replace(a_cell(seq=2048), variant=name), "raised", name),
        replace(predicted(a_cell(seq=4096), 1.0), warnings=(name,)),
    )
    facts = {"cpu": name, "torch": name, "os": name, "environment": {name: name}, "governor": name}
    return a_profile(
        *records,
        machine=a_machine(**facts),
        command=name,
        created=name,
        variants={
            "sdpa": a_variant("sdpa"),
            name: a_variant(name, card=card, summary=name, origin=name, code=name),
        },
        scores=Scores(of=name, values={name: 1.0}),
        baseline=name,
    )


def test_a_hostile_profile_adds_no_markup() -> None:
    profile = a_hostile_profile()
    wish = Wish(limits=[limit("latency", "1s")])
    for profiles in ({HOSTILE: profile}, {HOSTILE: profile, f"{HOSTILE}2": profile}):
        markup = document.page(profiles, wish)
        assert "//" not in markup
        assert "\x1b" not in markup
        assert "\u202e" not in markup
        page = Page(markup)
        loads_nothing(markup)
        assert "<script>alert(1)</script>" in page.text  # as words
    plain = Page(document.page({"a": a_profile(*a_sweep())}))
    assert {tag for tag, _ in page.tags} <= {tag for tag, _ in plain.tags} | {"path", "nav", "a"}


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_alone_is_xml_without_variables_or_script(name: str) -> None:
    drawing = document.chart(a_crowd(), name, Wish())
    root = ElementTree.fromstring(drawing)
    kinds = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert kinds <= {"svg", "title", "desc", "style", "rect", "text", "g", "path", "circle"}
    assert "var(" not in drawing
    assert "a CPU, 2 cores · torch 2.13.0 · 2026-01-02 · effattn 0.1.0" in drawing
    assert "forward, core, not causal" in drawing


def test_a_hostile_chart_is_xml_too() -> None:
    for name in ("latency", "peak", "pareto"):
        drawing = document.chart(a_hostile_profile(), name, Wish(seq=1024))
        root = ElementTree.fromstring(drawing)
        kinds = {element.tag.rpartition("}")[2] for element in root.iter()}
        assert not kinds & {"script", "img"}
        assert drawing.count("//") == 1  # of the name space


@settings(max_examples=60)
@given(mixes())
def test_whatever_happened_makes_a_page_with_every_cell(records: list[Record]) -> None:
    page = read(*records)
    every = page.table("Every cell")
    assert len(every.rows) == 1 + len(records)
    lacking = [record for record in records if record.status != "measured"]
    if lacking:
        assert len(page.table("What was not measured").rows) > 1


def test_nothing_but_failures_is_a_page() -> None:
    page = read(failed(a_cell(), "timeout"), pending(a_cell("linformer")))
    assert page.named("svg") == []
    assert "over the time limit" in page.text


def test_text_and_curves_stand_out_from_the_ground() -> None:
    def luminance(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return sum(f * p for f, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    def contrast(one: str, other: str) -> float:
        high, low = sorted((luminance(one), luminance(other)), reverse=True)
        return (high + 0.05) / (low + 0.05)

    colours = theme.COLOURS
    for side in (0, 1):
        for name in ("ink", "soft", "accent", "bad", "good", *(f"c{n}" for n in range(8))):
            assert contrast(colours[name][side], colours["ground"][side]) >= 4.5, (name, side)
        for name in ("card", *(f"{kind}{n}" for kind in "bw" for n in range(1, 5))):
            assert contrast(colours["ink"][side], colours[name][side]) >= 4.5, (name, side)


def test_torch_is_not_loaded_for_a_page() -> None:
    code = (
        "import sys\nfrom effattn_cli import library\n"
        "from effattn_cli.report.page import document\n"
        "name = 'ref:epyc-zen5-2-threads-linformer'\n"
        "document.page({name: library.read(name)})\n"
        "print([name for name in ('torch', 'numpy') if name in sys.modules])\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
