"""What is written where the encoding of a terminal or a file lacks a sign.

No stand-in is a question mark: beside a figure that one says "too close to call".
"""

import codecs
import unicodedata

NAME = "stand-ins"  # of the error handler, as `errors=` of a stream takes it

_STAND_INS = {
    "·": "-", "→": "->", "≤": "<=", "≥": ">=", "≈": "~", "−": "-",
    "±": "+-", "µ": "u", "μ": "u", "…": "...", "×": "x", "°": "deg", "—": "-", "–": "-",
    "│": "|", "║": "|", "┃": "|", "╎": "|", "╵": "|", "╷": "|",
}  # fmt: skip


def in_ascii(text: str) -> str:
    """The text with a stand-in for every sign that ASCII lacks."""
    return text if text.isascii() else "".join(map(_stand_in, text))


def register() -> None:
    """Lets streams be opened with `errors=NAME`."""
    codecs.register_error(NAME, _handle)


def _handle(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return in_ascii(error.object[error.start : error.end]), error.end


def _stand_in(sign: str) -> str:
    if sign.isascii():
        return sign
    if sign in _STAND_INS:
        return _STAND_INS[sign]
    if "─" <= sign <= "╿":  # lines and corners of boxes
        return "-" if sign in "─━═╌╍╸╺╴╶" else "+"
    if "▀" <= sign <= "▟" or "⠀" <= sign <= "⣿":  # blocks, and the dots of Braille
        return "#"
    letters = unicodedata.normalize("NFKD", sign).encode("ascii", "ignore").decode()
    return letters or sign.encode("ascii", "backslashreplace").decode()
