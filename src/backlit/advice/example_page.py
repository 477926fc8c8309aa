"""A report on examples as one self-contained HTML page, pictures included. What comes from data is escaped."""

from __future__ import annotations

import struct
import zlib
from base64 import b64encode
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .example_tables import (
    AGREEMENT,
    MOST_CLASSES,
    agreement_cell,
    disagreeing,
    headline,
    idle_sentences,
    listed,
    opposed,
    printed,
    times,
)

if TYPE_CHECKING:
    from .examples import ExampleReport

STYLE = """
.examples { font: 1rem/1.5 system-ui, sans-serif; }
.examples { max-width: 70rem; margin: 0 auto; padding: 1rem; }
.examples h1 { font-size: 1.5rem; } .examples h2 { font-size: 1.15rem; margin-top: 1.6rem; }
.examples .scroll { overflow-x: auto; }
.examples table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.examples th, .examples td { padding: .2rem .6rem; text-align: right; white-space: nowrap; }
.examples th, .examples td { border-bottom: 1px solid #8885; }
.examples tr.other td { background: #d6790022; }
.examples .gallery { display: grid; gap: .8rem; margin-bottom: 1rem; }
.examples .gallery { grid-template-columns: repeat(auto-fill, minmax(5.5rem, 1fr)); }
.examples figure { margin: 0; } .examples figcaption { font-size: .8rem; line-height: 1.25; overflow-wrap: anywhere; }
.examples img { width: 100%; image-rendering: pixelated; border: 1px solid #8886; }
"""


def page(report: ExampleReport) -> str:
    """The page: nothing is loaded from elsewhere, and nothing runs on it."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">\n<title>Which examples matter</title>\n"
        "<style>:root { color-scheme: light dark; }</style>\n</head>\n<body>\n"
        f"{fragment(report, heading=True)}\n</body>\n</html>\n"
    )


def fragment(report: ExampleReport, heading: bool = False) -> str:
    """The content of the page, for a notebook too."""
    title = "<h1>Which examples matter</h1>" if heading else ""
    parts = [f"<style>{STYLE}</style>", title, f"<p>{escape(headline(report))}</p>", _largest(report)]
    if report.classes and len(report.classes) <= MOST_CLASSES:
        parts.append(_classes(report))
    items = "".join(f"<li>{escape(text)}</li>" for text in idle_sentences(report))
    parts.append(f"<h2>Idle units</h2><ul>{items}</ul>")
    return f'<main class="examples">{"".join(parts)}</main>'


def _largest(report: ExampleReport) -> str:
    rows = []
    for e in report.largest:
        numbers = f"{e.loss:.4g}", f"{e.norm:.4g}", times(e)
        cells = [f"{e.row:,}", printed(e.label), printed(e.prediction), *numbers]
        other = ' class="other"' if report.classes and e.label != e.prediction else ""
        rows.append(f"<tr{other}>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>")
    table = _table(("row", "label", "prediction", "loss", "‖g‖", "× median"), rows)
    note = f"<p>{escape(disagreeing(report))} Rows are counted from 0.</p>"
    return f"<h2>{listed(report).capitalize()}</h2>{note}{_gallery(report)}{table}"


def _gallery(report: ExampleReport) -> str:
    if report.images is None:
        return ""
    figures = []
    for image, e in zip(report.images, report.largest, strict=True):
        label, prediction = escape(printed(e.label)), escape(printed(e.prediction))
        words = f"label {label}" + (f", taken for {prediction}" if e.label != e.prediction else "")
        source = b64encode(png(image)).decode("ascii")
        picture = f'<img src="data:image/png;base64,{source}" alt="row {e.row}, {words}">'
        figures.append(f"<figure>{picture}<figcaption>{e.row}: {words}</figcaption></figure>")
    return f'<div class="gallery">{"".join(figures)}</div>'


def _classes(report: ExampleReport) -> str:
    names = [escape(printed(summary.name)) for summary in report.classes]
    across = names if report.agreement is not None else []
    rows = []
    for c, summary in enumerate(report.classes):
        numbers = (f"{summary.loss:.3g}", f"{summary.norm:.3g}") if summary.rows else ("–", "–")
        cells = [f"{summary.rows:,}", *numbers] + [agreement_cell(report, c, d) for d in range(len(across))]
        rows.append(f'<tr><th scope="row">{names[c]}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>')
    note = f"<p>{escape(f'{AGREEMENT[0].upper()}{AGREEMENT[1:]}. {opposed(report)}')}</p>" if across else ""
    table = _table(("class", "rows", "mean loss", "‖g‖, root mean square", *across), rows)
    return f"<h2>The classes</h2>{note}{table}"


def _table(heads: Sequence[str], rows: Sequence[str]) -> str:
    """A table that scrolls on its own where the screen is narrow; heads and rows are HTML."""
    first = "".join(f'<th scope="col">{head}</th>' for head in heads)
    table = f"<table><thead><tr>{first}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return f'<div class="scroll" tabindex="0">{table}</div>'


def png(image: NDArray[np.float64]) -> bytes:
    """A grey picture (height, width) as a PNG file: the smallest number white, the largest black."""
    low, high = float(image.min()), float(image.max())
    grey = np.round(255 * (1 - (image - low) / (high - low or 1.0))).astype(np.uint8)
    height, width = grey.shape
    lines = np.concatenate([np.zeros((height, 1), np.uint8), grey], axis=1)  # each begins with its filter: none

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(lines.tobytes(), 9)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
