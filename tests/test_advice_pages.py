"""The pages on batch sizes and on examples: every python block runs, and prints what the text block behind it says."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_questions import outputs

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize("name", ["batch-size.md", "examples-that-matter.md"])
def test_a_page_opens_with_the_answer_and_shows_it(name):
    page = DOCS / name
    title, _, answer = page.read_text("utf-8").split("\n")[:3]
    assert title.startswith("# ") and answer.startswith("**")
    found = outputs(page)
    assert found
    for expected, printed in found:
        assert printed == expected
        assert printed, "a block shows something"
