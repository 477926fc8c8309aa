"""Factors and shares as lines of text and as LaTeX. Layout only: no value is made here."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import nlargest
from itertools import pairwise
from typing import TYPE_CHECKING

from .wording import number

if TYPE_CHECKING:
    from .factors import Factor, Factors, Path, Shares

CORNERED = ("relu", "leaky_relu")
PATHS_SHOWN = 12
EXAMPLES_SHOWN = 16  # of a larger batch so many less the gaps between them: those with the largest shares


def chain_text(factors: Factors, depth: int) -> str:
    """One line per factor, the product, the difference quotient beside it, and the sentences."""
    whole = f"∂L/∂{factors.name}"
    lines = [
        f"{whole} for example {factors.example + 1} of {len(factors.trace.x)}, [{factors.example}] in the batch",
        factors.where,
        "",
        *aligned(factors.terms),
        f"= {whole} = {number(factors.product)}",
        f"  {_beside(factors)}",
        "",
        "In words, from the loss down to the weight:",
        *(f"  {n}. {term.symbol}: {term.words}." for n, term in enumerate(factors.terms, 1)),
    ]
    opened = _opened(factors.terms, depth)
    return "\n".join(lines + (["", *opened] if opened else []))


def aligned(terms: Sequence[Factor]) -> list[str]:
    """``× symbol   formula = numbers   = value``, in columns."""
    rows = [(term.symbol, _formula(term), number(term.value)) for term in terms]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return [
        f"{'×' if n else ' '} {symbol:<{widths[0]}}   {formula:<{widths[1]}}   = {value:>{widths[2]}}"
        for n, (symbol, formula, value) in enumerate(rows)
    ]


def _formula(term: Factor) -> str:
    return term.formula if term.filled in (term.formula, number(term.value)) else f"{term.formula} = {term.filled}"


def _opened(terms: Sequence[Factor], depth: int, indent: str = "") -> list[str]:
    """The paths of every gathered factor, largest first, ``depth`` levels down."""
    lines: list[str] = []
    for term in terms if depth > 0 else ():
        paths = sorted(term.open(), key=lambda path: -abs(path.product))
        if not paths:
            continue
        if len(paths) == 1:
            lines.append(f"{indent}{term.symbol} = {_product(paths[0])}")
            lines += _opened(paths[0].terms, depth - 1, indent + "  ")
            continue
        lines.append(f"{indent}{term.symbol} = {number(term.value)} is the sum of")
        for path in paths[:PATHS_SHOWN]:
            lines.append(f"{indent}  {_product(path)}")
            lines += _opened(path.terms, depth - 1, indent + "    ")
        if len(paths) > PATHS_SHOWN:
            lines.append(f"{indent}  … and {len(paths) - PATHS_SHOWN} paths with smaller shares")
    return lines


def _product(path: Path) -> str:
    """``∂L/∂z · ∂z/∂a = 0.3 · (-0.2) = -0.06``."""
    values = [number(part.value) for part in path.terms]
    values = [f"({value})" if n and value.startswith("-") else value for n, value in enumerate(values)]
    return f"{' · '.join(part.symbol for part in path.terms)} = {' · '.join(values)} = {number(path.product)}"


def _beside(explained: Factors | Shares) -> str:
    text = f"by central differences: {number(explained.difference)}"
    near = abs(explained.difference - explained.product) <= 1e-5 * max(1e-3, abs(explained.product))
    net = explained.trace.network
    if near or not (set(net.activations) & set(CORNERED) or net.loss in ("absolute_error", "huber")):
        return text
    return f"{text} (a corner of an activation or of the loss lies within the difference)"


def chain_latex(factors: Factors) -> str:
    """∂L/∂w = product of fractions = product of numbers = value."""
    left = rf"\frac{{\partial L}}{{\partial {factors.name.latex}}}"
    symbols = r" \cdot ".join(term.latex for term in factors.terms)
    values = r" \cdot ".join(_latex_number(term.value) for term in factors.terms)
    return f"{left} = {symbols} = {values} = {_latex_number(factors.product, alone=True)}"


def shares_text(shares: Shares, depth: int) -> str:
    """One row per example: its gradient, what it counts, its share, the running sum of the shares.

    Of a large batch the examples with small shares are put together, unless ``depth`` opens the examples anyway.
    """
    whole, net, n = f"∂L/∂{shares.name}", shares.trace.network, len(shares.terms)
    shown, largest = _largest(shares) if n > EXAMPLES_SHOWN and not depth else (set(range(n)), n)
    rows, total, gap, left_out = [("example", whole, "counts", "share", "sum so far")], 0.0, 0.0, 0
    for place, (factors, term) in enumerate(zip(shares.examples, shares.terms, strict=True)):
        total += term.value
        if place not in shown:
            gap, left_out = gap + term.value, left_out + 1
            if place + 1 == n or place + 1 in shown:
                rows.append((f"… {left_out} more", "", "", number(gap), number(total)))
                gap, left_out = 0.0, 0
            continue
        counts = term.filled.split(" · ")[0]
        who = f"{factors.example + 1} [{factors.example}]"
        rows.append((who, number(factors.product), counts, number(term.value), number(total)))
    beside = f", and {len(shown) - largest} beside them" if len(shown) > largest else ""
    fewer = f"The {largest} largest shares of {n}{beside}; all of them with backlit explain --open 1, or .text(1)."
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = [
        f"{whole} of the batch: the {'mean' if net.reduction == 'mean' else 'sum'} over {n} example{'s' * (n > 1)}",
        shares.where,
        "",
        *("  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows),
        *(["", fewer] if len(shown) < n else []),
        "",
        f"= {whole} = {number(shares.product)}   (without L2)",
        f"  {_beside(shares)}",
    ]
    for factors in shares.examples if depth > 0 else ():
        lines += ["", chain_text(factors, depth - 1)]
    return "\n".join(lines)


def _largest(shares: Shares) -> tuple[set[int], int]:
    """(The examples that are told, how many of them have the largest shares; the others fill gaps of one.)

    They are so few that they and the gaps between them are EXAMPLES_SHOWN rows.
    """
    n = len(shares.terms)
    order = nlargest(EXAMPLES_SHOWN, range(n), key=lambda place: abs(shares.terms[place].value))
    for count in range(len(order), 0, -1):
        bounds = [-1, *sorted(order[:count]), n]
        if count + sum(after - before > 1 for before, after in pairwise(bounds)) <= EXAMPLES_SHOWN:
            break
    ones = {before + 1 for before, after in pairwise(bounds) if after - before == 2}  # no shorter as a gap
    return {*order[:count], *ones}, count


def shares_latex(shares: Shares) -> str:
    """∂L/∂w = a factor times the sum of the examples' gradients = value."""
    left = rf"\frac{{\partial L}}{{\partial {shares.name.latex}}}"
    weights, mean = shares.trace.sample_weight, shares.trace.network.reduction == "mean"
    each = [
        _latex_number(g.product, alone=not n) if s == 1 else rf"{number(s)} \cdot {_latex_number(g.product)}"
        for n, (s, g) in enumerate(zip(weights, shares.examples, strict=True))
    ]
    over = rf"\frac{{1}}{{{number(weights.sum())}}} " if mean else ""
    weight = "s_i " if (weights != 1).any() else ""
    symbol = rf"{over}\sum_{{i=1}}^{{{len(each)}}} {weight}\frac{{\partial L_i}}{{\partial {shares.name.latex}}}"
    value = _latex_number(shares.product, alone=True)
    return rf"{left} = {symbol} = {over}\left({' + '.join(each)}\right) = {value}"


def _latex_number(value: float, alone: bool = False) -> str:
    """A number; 1e-05 as a power of ten; in brackets if it is negative and follows something."""
    text, _, power = number(value).partition("e")
    if power:
        text = rf"{text} \cdot 10^{{{int(power)}}}"
    return text if alone or not text.startswith("-") else f"({text})"
