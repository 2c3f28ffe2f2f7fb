"""Numbers and names as people read them. Pure; everything else keeps seconds, bytes and FLOPs."""

_SECONDS = (("min", 60.0, 120.0), ("s", 1.0, 1.0), ("ms", 1e-3, 1e-3), ("µs", 1e-6, 1e-6))
_JOULES = (("J", 1.0), ("mJ", 1e-3), ("µJ", 1e-6))
_BYTES = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_COUNTS = ("", "k", "M", "G", "T", "P", "E")


def seconds(value: float) -> str:
    """A latency to three significant digits; minutes from two on.

    >>> seconds(0.00123), seconds(62.1), seconds(150), seconds(0.0009999)
    ('1.23 ms', '62.1 s', '2.50 min', '1.00 ms')
    """
    if value == 0:
        return "0 s"
    rounded = float(f"{value:.3g}")
    for unit, scale, start in _SECONDS:
        if rounded >= start:
            return f"{_three_digits(value / scale)} {unit}"
    return f"{_three_digits(value / 1e-9)} ns"


def joules(value: float) -> str:
    """An energy to three significant digits.

    >>> joules(0.00123), joules(62.1)
    ('1.23 mJ', '62.1 J')
    """
    rounded = float(f"{value:.3g}")
    unit, scale = next((pair for pair in _JOULES if rounded >= pair[1]), _JOULES[-1])
    return f"{_three_digits(value / scale)} {unit}"


def size(value: float) -> str:
    """Bytes in binary units, one decimal below a hundred.

    >>> size(3250586), size(512), size(41 * 2**30)
    ('3.1 MiB', '512 B', '41.0 GiB')
    """
    return _scaled(value, _BYTES, 1024)


def count(value: float) -> str:
    """FLOPs or anything else that is counted, in powers of a thousand.

    >>> count(1.2e9), count(12)
    ('1.2 G', '12')
    """
    return _scaled(value, _COUNTS, 1000).rstrip()


def length(tokens: int) -> str:
    """A number of tokens, exactly: k is 1024, and used only where quarters of it suffice.

    >>> length(65536), length(1536), length(1000), length(3 * 2**20)
    ('64k', '1.5k', '1000', '3M')
    """
    for unit, letter in ((2**20, "M"), (2**10, "k")):
        if tokens >= unit and tokens % (unit // 4) == 0:
            return f"{tokens / unit:.10g}{letter}"
    return str(tokens)


def ratio(value: float) -> str:
    """How many times; no more digits than a latency can have.

    >>> ratio(1.04), ratio(6.12), ratio(9.97), ratio(118.4), ratio(12345)
    ('1.04x', '6.1x', '10x', '118x', '12300x')
    """
    if value < 1.095:
        return f"{value:.2f}x"
    if value < 9.95:
        return f"{value:.1f}x"
    return f"{float(f'{value:.3g}') if value >= 100 else value:.0f}x"


def percent(fraction: float) -> str:
    """A share, to whole per cents, or to one digit below one.

    >>> percent(0.843), percent(0.0041), percent(1.04)
    ('84 %', '0.4 %', '104 %')
    """
    return f"{100 * fraction:.0f} %" if fraction >= 0.00995 else f"{100 * fraction:.1g} %"


def duration(value: float) -> str:
    """Time to wait, its two largest units.

    >>> duration(95), duration(7200), duration(0.4), duration(90061)
    ('1 min 35 s', '2 h', 'under 1 s', '1 d 1 h')
    """
    left = round(value)
    if left < 1:
        return "under 1 s"
    parts: list[tuple[int, str]] = []
    for unit, scale in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        number, left = divmod(left, scale)
        if number or parts:
            parts.append((number, unit))
    return " ".join(f"{number} {unit}" for number, unit in parts[:2] if number)


def clean(text: str) -> str:
    """Text from a file, a plugin or a process, fit for one line of a terminal.

    White space becomes a blank; what does not print (escapes, bells, marks that turn the direction
    of writing) is spelled out, so that no name can move the cursor or hide what follows.
    """
    if text.isprintable():  # nearly always; of white space, only a blank is printable
        return text
    blank = "".join(" " if letter.isspace() else letter for letter in text)
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in blank
    )


def _three_digits(value: float) -> str:
    if value >= 999.5:
        return f"{float(f'{value:.3g}'):.0f}"
    return f"{value:#.3g}".rstrip(".")


def _scaled(value: float, units: tuple[str, ...], base: int) -> str:
    unit = 0
    # Where rounding would give a full 1024 KiB, the next unit is the shorter word for it.
    while unit + 1 < len(units) and round(value) >= base:
        value, unit = value / base, unit + 1
    return f"{value:.{int(unit > 0 and value < 99.95)}f} {units[unit]}"


def number(count: int, noun: str) -> str:
    """A count and its noun.

    >>> number(1, "cell"), number(1200, "cell")
    ('1 cell', '1200 cells')
    """
    return f"{count} {noun}{'' if count == 1 else 's'}"
