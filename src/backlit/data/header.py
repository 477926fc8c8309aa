"""Whether the first line of a text table holds names or the first row: the rule stands here alone. Reads nothing."""

import re
from collections import Counter
from collections.abc import Collection, Iterator

from .cells import as_number, is_missing

GIVEN = re.compile("column [1-9][0-9]*")  # the names of columns in a table without a header
NEARLY = 0.95  # of a column's cells are numbers: it is one of numbers, with slips of the pen
SEEN_OFTEN = 3  # rows of a category, from which on the first line would hold one of them, too, were it a row


def is_header(first: list[str], rows: list[list[str]], decimal: str, known: Collection[str]) -> bool:
    """Whether ``first`` holds names, judged by the next rows. Names may be numbers, such as years.

    Names, if all that are ``known`` stand there, or no cell is a number. With numbers among them: a text above numbers
    is a name; a text that recurs below it is a value, and so is any where ``known`` are the names of unnamed columns.
    Where neither is found, numbers are values, but for two kinds of names: a frame's own numbers of its columns, and
    whole ones beside a text that is none of its column's categories.
    """
    cells = [cell.strip() for cell in first]
    if known and set(known) <= set(cells):
        return True
    numbers = [cell for cell in cells if _is_number(cell, decimal)]
    if not numbers:
        return True
    if len(set(cells)) < len(cells) or not all(cells[1:]):
        return False  # names differ, and are not empty
    columns = list(_columns(cells, rows, decimal))
    if any(len(below) and text not in below and _of_numbers(below, decimal) for text, below in columns):
        return True
    if any(text in below for text, below in columns) or (known and all(map(GIVEN.fullmatch, known))):
        return False
    places = [(str(place), str(place - 1)) for place, cell in enumerate(cells) if _is_number(cell, decimal)]
    if numbers == [place for place, _ in places] or numbers == [place for _, place in places]:
        return True
    others = [below for _, below in columns if below]
    return all(map(str.isdecimal, numbers)) and any(min(below.values()) >= SEEN_OFTEN for below in others)


def _columns(cells: list[str], rows: list[list[str]], decimal: str) -> Iterator[tuple[str, Counter[str]]]:
    """(a text of the first line, how often each text stands below it): of columns that begin with a text."""
    whole = [row for row in rows if len(row) == len(cells)]
    for place, text in enumerate(cells):
        if not is_missing(text) and not _is_number(text, decimal):
            yield text, Counter(row[place].strip() for row in whole if not is_missing(row[place]))


def _of_numbers(below: Counter[str], decimal: str) -> bool:
    return sum(count for text, count in below.items() if _is_number(text, decimal)) >= NEARLY * below.total()


def _is_number(cell: str, decimal: str) -> bool:
    return as_number(cell.replace(",", ".") if decimal == "," else cell) is not None
