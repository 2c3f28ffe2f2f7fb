import pytest
from inline_snapshot import snapshot

from effattn_cli.cards import Option, SurveyRow
from effattn_cli.catalog import Catalog
from effattn_cli.report.catalog.card_view import card, listing
from tests.builders import a_card, a_variant
from tests.report.screen import screen


def test_the_listing_at_80_columns() -> None:
    variants = [
        a_variant("linformer"),
        a_variant(
            "longformer", card=a_card(families=("fixed-pattern", "memory"), time="N w + N m")
        ),
        a_variant("linear-transformer", card=a_card(families=("kernel",)), decode=True),
        a_variant("sdpa", card=a_card("exact", causal="never", families=("exact",), time="N^2")),
        a_variant("mine", card=a_card(causal="always"), origin="/home/me/mine.py"),
    ]
    broken = {"my-attention": "my_attention.py: expected one class with a card,\x1b[31m found 0"}
    assert screen(listing(variants, broken), 80) == snapshot("""\
name               family         time      memory decode causal swap    kind
────────────────────────────────────────────────────────────────────────────────
linformer          low-rank       N k       N      no     yes    trained approx.
longformer         fixed-pattern, N w + N m N      no     yes    trained own
                   memory
linear-transformer kernel         N k       N      yes    yes    trained own
sdpa               exact          N^2       N      no     no     trained exact
mine               low-rank       N k       N      no     only   trained own
my-attention       broken: my_attention.py: expected one class with a
                   card,\\x1b[31m found 0

swap: what becomes of a trained model's weights. exact: the same function;
lossy: an approximation; trained: the model must be trained with it; if: with
some options only; shortens: fewer tokens come out
kind: exact softmax attention, an approximation of it, or a mechanism of its
own; ffn: replaces the feed-forward
causal: yes, where it is asked for; only: always
mine: from /home/me/mine.py\
""")


def test_the_listing_on_a_wide_screen() -> None:
    variants = [a_variant("linformer"), a_variant("mine", origin="mine 1.0")]
    assert screen(listing(variants, {}), 120) == snapshot("""\
name       family    year  time  memory  decode  state  causal  swap     kind     deployed in  origin
───────────────────────────────────────────────────────────────────────────────────────────────────────
linformer  low-rank  2020  N k   N       no             yes     trained  approx.               bundled
mine       low-rank  2020  N k   N       no             yes     trained  own                   mine 1.0

swap: what becomes of a trained model's weights. exact: the same function; lossy: an approximation; trained: the model
must be trained with it; if: with some options only; shortens: fewer tokens come out
kind: exact softmax attention, an approximation of it, or a mechanism of its own; ffn: replaces the feed-forward
causal: yes, where it is asked for; only: always
mine: from mine 1.0\
""")  # noqa: E501


def test_the_bundled_variants_fit_80_columns_whole() -> None:
    catalog = Catalog()
    found = [catalog.variant(name) for name in catalog.names()]
    lines = screen(listing(found, {}), 80).splitlines()
    assert all(len(line) <= 80 for line in lines)
    rows = lines[2 : lines.index("")]
    assert [line.split()[0] for line in rows if not line.startswith(" ")] == catalog.names()


@pytest.mark.parametrize("width", [80, 120, 200])
def test_swap_and_kind_are_never_left_out(width: int) -> None:
    catalog = Catalog()
    lines = screen(listing(map(catalog.variant, catalog.names()), {}), width).splitlines()
    assert {"name", "swap", "kind"} <= set(lines[0].split())
    assert any(line.startswith("swap: ") for line in lines)


def test_a_card_in_full() -> None:
    variant = a_variant(
        "linformer",
        card=a_card(
            "approximates softmax",
            title="Linformer",
            causal="never",
            padding=False,
            requires=("CUDA", "triton"),
            survey=SurveyRow(complexity="N", decode=False, classes="LR+FP"),
            notes=(
                "padded keys are zeroed before the mixture, so that a mask has no say after it",
            ),
            exempt={"padding": "the mixture is made for one length"},
        ),
        options=(
            Option(name="rank", type="int", default=256, help="Mixtures that stand for the keys."),
            Option(name="sharing", type="Literal['none', 'headwise']", default="headwise"),
            Option(name="seed", type="int | None", default=None, help="\x1b[31mred"),
        ),
    )
    assert screen(card(variant), 80) == snapshot("""\
Linformer (linformer)
What linformer does.

paper     https://arxiv.org/abs/2006.04768 (2020)
family    low-rank
kind      approximates softmax
swap      trained: a model must be trained or converted with it
place     attention in encoders
time      grows like N k in the tokens N
memory    grows like N
survey    N, does not decode, low rank + fixed patterns
causal    never
decode    no
padding   no
requires  CUDA, triton
options   rank=256  int
            Mixtures that stand for the keys.
          sharing=headwise  none | headwise
          seed=none  int | None
            \\x1b[31mred
notes     padded keys are zeroed before the mixture, so that a mask has no say
          after it
exempt    padding: the mixture is made for one length
origin    bundled
path      variants/linformer.py\
""")


def test_a_paper_that_is_not_on_arxiv_is_given_as_it_is() -> None:
    text = screen(card(a_variant("x", card=a_card(paper="https://example.org/x.pdf", year=2019))))
    assert "paper    https://example.org/x.pdf (2019)" in text
    assert "survey" not in text
    assert "options" not in text


@pytest.mark.parametrize(
    ("name", "swap", "place"),
    [
        (
            "gqa",
            "exact: the same function of the model's own weights. Only with softcap=0.0,"
            " sinks=false, kv_heads as the model has them; trained otherwise",
            "attention in encoders and decoders",
        ),
        (
            "sliding-window",
            "lossy: the model's own weights, an approximation; softmax attention with"
            " window = 2 N. Only with sinks=none or first; trained otherwise",
            "attention in encoders and decoders",
        ),
        (
            "performer",
            "lossy: the model's own weights, an approximation; softmax attention in the limit of"
            " many features. Only with kernel=softmax; trained otherwise",
            "attention in encoders and decoders",
        ),
        (
            "perceiver",
            "trained: a model must be trained or converted with it",
            "attention in encoders; in decoders fewer tokens come out than go in",
        ),
        (
            "charformer",
            "trained: a model must be trained or converted with it",
            "in encoders fewer tokens come out than go in",
        ),
        ("gshard", None, "the feed-forward, not attention"),
        (
            "kv-sharing",
            "trained: a model must be trained or converted with it",
            "attention in a model that has another layer's keys and values at hand",
        ),
    ],
)
def test_a_card_says_what_a_swap_takes(name: str, swap: str | None, place: str) -> None:
    lines = screen(card(Catalog().variant(name)), 400).splitlines()
    rows = {line.split()[0]: line.partition(" ")[2].strip() for line in lines if line.strip()}
    assert (rows.get("swap"), rows["place"]) == (swap, place)


def test_the_listing_says_where_a_swap_is_on_conditions() -> None:
    names = ["sdpa", "gqa", "nystromformer", "sliding-window", "charformer", "gshard", "gla"]
    lines = screen(listing([Catalog().variant(name) for name in names], {}), 200).splitlines()
    head = lines[0].index("swap")
    assert [line[head:].split("  ")[0] for line in lines[2 : lines.index("")]] == [
        "exact", "exact if", "lossy if", "lossy", "shortens", "", "trained",
    ]  # fmt: skip
