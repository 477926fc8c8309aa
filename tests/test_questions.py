"""The pages of docs/questions: every python block runs, and prints what the text block behind it says."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "docs" / "questions"
PAGES = sorted(FOLDER.glob("[0-9]*.md"))
BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:^```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)


def outputs(page: Path) -> list[tuple[str, str]]:
    """(expected, printed) of each python block, run one after the other as one program."""
    names: dict[str, object] = {}
    found = []
    for code, expected in BLOCK.findall(page.read_text("utf-8")):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, str(page), "exec"), names)
        found.append((expected, printed.getvalue()))
    return found


def test_there_is_a_page_for_each_of_the_fifteen():
    assert [int(page.name[:2]) for page in PAGES] == list(range(1, 16))
    index = (FOLDER / "README.md").read_text("utf-8")
    assert all(f"({page.name})" in index for page in PAGES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_opens_with_the_answer_and_shows_it(page):
    title, _, answer = page.read_text("utf-8").split("\n")[:3]
    assert title.startswith("# ")
    assert answer.startswith("**"), "the short answer comes first"
    found = outputs(page)
    assert found
    for expected, printed in found:
        assert printed == expected
        assert printed, "a block shows something"
