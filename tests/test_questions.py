"""The pages of docs/questions: every python block runs, and prints what the text block behind it says."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "docs"))

from making import blocks

FOLDER = Path(__file__).parents[1] / "docs" / "questions"
PAGES = sorted(FOLDER.glob("[0-9]*.md"))


def test_there_is_a_page_for_each_of_the_fifteen():
    assert [int(page.name[:2]) for page in PAGES] == list(range(1, 16))
    index = (FOLDER / "README.md").read_text("utf-8")
    assert all(f"({page.name})" in index for page in PAGES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_opens_with_the_answer_and_shows_it(page):
    text = page.read_text("utf-8")
    title, _, answer = text.split("\n")[:3]
    assert title.startswith("# ")
    assert answer.startswith("**"), "the short answer comes first"
    found = blocks.outputs(text, str(page))
    assert found
    for expected, printed in found:
        assert printed == expected
        assert printed, "a block shows something"
