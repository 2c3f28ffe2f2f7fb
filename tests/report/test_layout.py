from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot
from rich.text import Text

from effattn_cli.report.layout import Column, Grid, Row
from tests.report.screen import screen

COLUMNS = (
    Column(title="name", folds=1),
    Column(title="what", folds=2),
    Column(title="much", right=True),
    Column(title="±", tight=True),
    Column(title="more", extra=1),
    Column(title="most", extra=2),
    Column(title="yet", extra=2),
)


def row(*texts: str, opens: bool = False) -> Row:
    return Row(cells=tuple(Text(text) for text in texts), opens=opens)


def a_grid() -> Grid:
    return Grid(
        COLUMNS,
        [
            row("one", "fixed-pattern, memory", "1", "±1", "aaaa", "bbbb", "cccc", opens=True),
            row("two:with=options", "kernel", "100", "±20", "aaaa", "bbbb", "cccc"),
            row("three", "words that run across whatever columns there are", opens=True),
        ],
    )


def test_ever_narrower() -> None:
    shown = {width: screen(a_grid(), width) for width in (71, 64, 57, 53, 46, 40, 36)}
    assert "\n\n".join(f"{width}\n{text}" for width, text in shown.items()) == snapshot("""\
71
name              what                   much ±    more  most  yet
───────────────────────────────────────────────────────────────────
one               fixed-pattern, memory     1 ±1   aaaa  bbbb  cccc
two:with=options  kernel                  100 ±20  aaaa  bbbb  cccc

three             words that run across whatever columns there are

64
name              what                   much ±    more  most
─────────────────────────────────────────────────────────────
one               fixed-pattern, memory     1 ±1   aaaa  bbbb
two:with=options  kernel                  100 ±20  aaaa  bbbb

three             words that run across whatever columns there
                  are

57
name              what                   much ±    more
───────────────────────────────────────────────────────
one               fixed-pattern, memory     1 ±1   aaaa
two:with=options  kernel                  100 ±20  aaaa

three             words that run across whatever columns
                  there are

53
name             what                  much ±   more
────────────────────────────────────────────────────
one              fixed-pattern, memory    1 ±1  aaaa
two:with=options kernel                 100 ±20 aaaa

three            words that run across whatever
                 columns there are

46
name             what            much ±   more
──────────────────────────────────────────────
one              fixed-pattern,     1 ±1  aaaa
                 memory
two:with=options kernel           100 ±20 aaaa

three            words that run across
                 whatever columns there are

40
name             what           much ±
────────────────────────────────────────
one              fixed-pattern,    1 ±1
                 memory
two:with=options kernel          100 ±20

three            words that run across
                 whatever columns there
                 are

36
name           what           much ±
────────────────────────────────────
one            fixed-pattern,    1
±1
               memory
two:           kernel          100
±20
with=options

three          words that run across
               whatever columns
               there are\
""")


def test_a_row_may_take_several_lines_on_both_sides() -> None:
    grid = Grid(
        (Column(title="name", folds=1), Column(title="value")),
        [row("a-name-of-twenty-one-x", "five words that take lines")],
    )
    assert screen(Grid((*grid.columns, Column(title="more")), grid.rows), 26) == snapshot("""\
name            value more
──────────────────────────
a-name-of-      five words
twenty-one-x    that take
                lines\
""")


def test_a_row_that_runs_across_stands_beside_the_columns_that_are_left() -> None:
    columns = (
        Column(title="name"),
        Column(title="LRA", extra=1),
        Column(title="chance", right=True),
        Column(title="verdict"),
        Column(title=""),
    )
    grid = Grid(columns, [row("one", "55.0", "90 %", "it fits")])
    assert screen(grid, 22) == "name chance verdict\n────────────────────\none    90 % it fits"


def test_a_grid_without_extra_columns() -> None:
    grid = Grid((Column(title="a"), Column(title="b")), [row("1", "2")])
    assert screen(grid, 4) == "a  b\n────\n1  2"
    assert screen(grid, 3) == "a b\n───\n1 2"


def test_markup_and_wide_letters_are_letters() -> None:
    grid = Grid(
        (Column(title="name"), Column(title="n", right=True)),
        [row("[red]", "1"), row("注意力", "2")],
    )
    assert screen(grid) == "name    n\n─────────\n[red]   1\n注意力  2"


@given(
    st.lists(st.tuples(*[st.text("ab:, -", max_size=30)] * 7), min_size=1, max_size=4),
    st.integers(20, 120),
)
def test_no_letter_is_lost_from_the_columns_that_stay(
    texts: list[tuple[str, ...]], width: int
) -> None:
    shown = screen(Grid(COLUMNS, [row(*each) for each in texts]), width)
    for letter in "ab":
        wanted = sum(text.count(letter) for each in texts for text in each[:4])
        assert shown.count(letter) - shown.splitlines()[0].count(letter) >= wanted
