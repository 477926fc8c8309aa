"""Pages that open with their answer: every python block runs, and prints what the text block behind it says."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "docs"))

from making import blocks

DOCS = Path(__file__).parents[1] / "docs"
QUESTIONS = sorted((DOCS / "questions").glob("[0-9]*.md"))
PAGES = [*QUESTIONS, DOCS / "batch-size.md", DOCS / "examples-that-matter.md"]


def test_there_is_a_page_for_each_of_the_fifteen():
    assert [int(page.name[:2]) for page in QUESTIONS] == list(range(1, 16))
    index = (DOCS / "questions" / "README.md").read_text("utf-8")
    assert all(f"({page.name})" in index for page in QUESTIONS)


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
