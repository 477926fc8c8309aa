"""Formulas as MathML, written at build: browsers show it by themselves, so a page needs no script and no network."""

from __future__ import annotations

import re
from typing import Any

from latex2mathml import converter

# A prime is small and high by itself; as a superscript most fonts make it a speck.
PRIME = re.compile(r"<msup>(<mi>[^<]*</mi>)<mi>&#x02032;</mi></msup>")
PRIME_BELOW = re.compile(r"<msubsup>(<mi>[^<]*</mi>)((?:(?!</msubsup>).)*?)<mi>&#x02032;</mi></msubsup>")


def setup(app: Any) -> None:
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))


def convert(formula: str, display: str = "inline") -> str:
    """LaTeX as a MathML element."""
    text = PRIME.sub(r"<mrow>\1<mo>&#x02032;</mo></mrow>", converter.convert(formula, display=display))
    return PRIME_BELOW.sub(r"<msub><mrow>\1<mo>&#x02032;</mo></mrow>\2</msub>", text)


def _inline(writer: Any, node: Any) -> None:
    writer.body.append(convert(node.astext()))
    raise _skip()


def _block(writer: Any, node: Any) -> None:
    formula = convert(node.astext().strip(), display="block")
    writer.body.append(f'<div class="formula" tabindex="0">{formula}</div>')
    raise _skip()


def _skip() -> Exception:
    from docutils.nodes import SkipNode

    return SkipNode()
