"""The built documentation in a real browser, as on a phone and offline. It must have been built: ``make docs``."""

from __future__ import annotations

from pathlib import Path

import pytest
from requires import requires

SITE = Path(__file__).parents[2] / "docs" / "_build" / "html"
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "offline": True}
# The theme lets the text scroll sideways by itself where something is too wide: that is as bad as the page doing so.
WIDER = """() => [document.documentElement, ...document.querySelectorAll('.page, .main, .content')]
    .filter(e => e.scrollWidth > e.clientWidth + 1 || e.getBoundingClientRect().right > 391)
    .map(e => `${e.tagName} ${e.className}: ${e.scrollWidth} in ${e.clientWidth}`).join(', ')"""


@pytest.fixture(scope="module")
def pages():
    found = sorted(SITE.rglob("*.html"))
    requires("site", bool(found), "Do: make docs.")
    return found


def test_no_page_scrolls_sideways_on_a_phone(browser, pages):
    context = browser.new_context(**PHONE)
    page, wide = context.new_page(), {}
    for file in pages:
        page.goto(file.as_uri())
        if found := page.evaluate(WIDER):
            wide[str(file.relative_to(SITE))] = found
    context.close()
    assert not wide


def test_it_reads_without_a_network(browser, pages):
    """Nothing is asked for outside the site, nothing fails, and formulas are there."""
    context = browser.new_context(offline=True, color_scheme="dark")
    page, outside, errors = context.new_page(), [], []
    page.on("request", lambda request: request.url.startswith(("file:", "data:")) or outside.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    for name in ("index", "page", "explain", "explorer", "notebooks/see_a_step", "reference/network"):
        page.goto((SITE / f"{name}.html").as_uri())
        page.wait_for_load_state("networkidle")
    assert not outside
    assert not errors
    page.goto((SITE / "page.html").as_uri())
    assert page.evaluate("[...document.querySelectorAll('math')].every(m => m.getBoundingClientRect().height > 5)")
    context.close()


def test_the_search_finds_a_public_name(browser, pages):
    page = browser.new_page(offline=True)
    page.goto((SITE / "search.html").as_uri() + "?q=check_gradients")
    page.wait_for_selector("#search-results li a", timeout=20_000)
    assert "checking.html" in page.inner_html("#search-results")
    page.close()
