"""Reads a built site as a browser would: every link inside it leads somewhere, and nothing is fetched from outside.

    python docs/making/links.py docs/_build/html

Exit code 1 and a line for each finding. Links to other sites are for people to follow, and are not looked at.
"""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

FETCHED = {"script": "src", "img": "src", "iframe": "src", "link": "href", "source": "src"}
IN_STYLE = re.compile(r"(?:url\(\s*|@import\s+)['\"]?(https?:|//)")


class Page(HTMLParser):
    """The names that can be linked to on a page, where it links to, and what a browser fetches for it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.names |= {value for name in ("id", "name") if (value := given.get(name))}
        if tag == "a" and (link := given.get("href")):
            self.links.append(link)
        if tag in FETCHED and (link := given.get(FETCHED[tag])):
            self.fetched.append(link)


def findings(site: Path) -> list[str]:
    """One line for each link that leads nowhere, and for each thing that would be fetched from the network."""
    pages = {file: Page(file.read_text("utf-8")) for file in sorted(site.rglob("*.html"))}
    found = []
    for file, page in pages.items():
        where = file.relative_to(site)
        found += [f"{where}: fetches {link}" for link in page.fetched if urlsplit(link).netloc]
        for link in page.links + page.fetched:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            if not target.is_file():
                found.append(f"{where}: {link} is not there")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].names:
                found.append(f"{where}: {link} names no place on that page")
    for file in sorted(site.rglob("*.css")):
        found += [f"{file.relative_to(site)}: fetches from outside" for _ in IN_STYLE.findall(file.read_text("utf-8"))]
    return found


if __name__ == "__main__":
    site = Path(sys.argv[1]).resolve()
    count, wrong = len(list(site.rglob("*.html"))), findings(site)
    sys.stdout.writelines(f"{line}\n" for line in wrong)
    sys.stdout.write(f"{count} pages: {'links and sources are all inside' if not wrong else 'see above'}.\n")
    sys.exit(1 if wrong or not count else 0)
