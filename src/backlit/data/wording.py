"""How the data room words its errors: one line each, values shortened, foreign exceptions as BadInput.

Only wording lives here; nothing is read, checked or computed.
"""

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import BadInput

LINES = (".csv", ".tsv", ".txt")


def shown(value: object, limit: int = 40) -> str:
    """``value`` as a short piece of one line; line breaks and control characters are escaped."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 4] + " ..."


def printable(text: object) -> str:
    """``text`` on one line, its unprintable characters escaped: names come from files, and terminals obey them."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in str(text))


def place(path: Path) -> str:
    """A path as messages show it: plain, or quoted and escaped when it holds anything unprintable."""
    return str(path) if str(path).isprintable() else repr(str(path))


def at(path: Path, number: int) -> str:
    """``data.csv line 7``; tables without lines, such as Parquet's, have rows."""
    return f"{place(path)} {'line' if path.suffix.lower() in LINES else 'row'} {number}"


def listed(names: Iterable[str], limit: int = 12) -> str:
    """``a, b, c``: at most ``limit`` names, each shortened, the number of the others after them."""
    every = list(names)
    some = ", ".join(name if name.isprintable() and len(name) <= 40 else shown(name) for name in every[:limit])
    return some + (f" and {len(every) - limit} more" if len(every) > limit else "")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`` (did you mean digits?)`` when some known name is close, above all the same in other letters; else empty."""
    every = list(known)
    same = [one for one in every if one.casefold() == name.casefold()]
    close = same[:3] or difflib.get_close_matches(name[:100], every, n=3)
    return f" (did you mean {' or '.join(listed([one]) for one in close)}?)" if close else ""


@contextmanager
def about(path: Path, part: str = "") -> Iterator[None]:
    """Puts the file's name before what a check of its arrays says."""
    try:
        yield
    except BadInput as error:
        raise BadInput(f"{place(path)}: {part}{error}") from error


@contextmanager
def reading(path: Path, wanted: str) -> Iterator[None]:
    """Says every exception that a file's content can cause in a foreign reader as BadInput.

    The readers of numpy, zipfile, gzip and csv raise a dozen kinds for damaged files (also SyntaxError,
    OverflowError and RuntimeError), and new versions add to them, so none is picked out here.
    """
    try:
        yield
    except BadInput:
        raise
    except MemoryError as error:
        raise BadInput(f"{place(path)}: does not fit into memory; give a smaller file or .npy files") from error
    except OSError as error:
        reason = error.strerror or " ".join(str(error).split())
        raise BadInput(f"{place(path)}: wanted {wanted}, but it cannot be read: {reason}") from error
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise BadInput(f"{place(path)}: wanted {wanted}, but it is damaged or of another kind: {reason}") from error
