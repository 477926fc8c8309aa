"""Writes kernels/coefficients.hpp: the polynomials behind exp, log and the normal distribution function.

Chebyshev interpolation in 60 digits, printed as monomials, lowest power first. Needs mpmath; run by hand only when an
interval or a degree changes. No other number of the kernels is fitted.
"""

from pathlib import Path

import mpmath as mp

mp.mp.dps = 60


def chebyshev(function, low, high, degree):
    """Monomial coefficients, lowest first, of the interpolant of `function` at the Chebyshev nodes of [low, high]."""
    count = degree + 1
    nodes = [mp.cos(mp.pi * (i + mp.mpf(1) / 2) / count) for i in range(count)]
    nodes = [low + (high - low) * (x + 1) / 2 for x in nodes]
    matrix = mp.matrix([[x**power for power in range(count)] for x in nodes])
    return list(mp.lu_solve(matrix, mp.matrix([function(x) for x in nodes])))


def exponential(r):
    """(exp(r) - 1 - r) / r²"""
    return mp.nsum(lambda k: r**k / mp.factorial(k + 2), [0, mp.inf]) if abs(r) < 0.1 else (mp.expm1(r) - r) / r**2


def area_tangent(t):
    """(atanh(s) / s - 1) / s² at t = s²"""
    s = mp.sqrt(t)
    return mp.nsum(lambda k: t**k / (2 * k + 3), [0, mp.inf]) if t < 1e-3 else (mp.atanh(s) / s - 1) / t


CENTRE = mp.mpf(3)


def normal_tail(t):
    """(1 - Phi(u)) exp(u²/2) where t = (u - 3) / (u + 3)"""
    u = CENTRE * (1 + t) / (1 - t)
    return mp.erfc(u / mp.sqrt(2)) * mp.exp(u**2 / 2) / 2


def last_t(u):
    return (u - CENTRE) / (u + CENTRE)


HALF_LN2 = mp.log(2) / 2 * mp.mpf("1.0001")
TABLES = [  # name, function, low, high, degree in float, degree in double
    ("exp_tail", exponential, -HALF_LN2, HALF_LN2, 4, 10),
    ("atanh_tail", area_tangent, mp.mpf(0), mp.mpf(1) / 9, 4, 13),
    ("normal_tail", normal_tail, mp.mpf(-1), None, 11, 26),
]


def coefficients(real, column, digits, reach):
    """The struct of one arithmetic. `reach`: beyond it the normal tail times exp(-u²/2) is zero."""
    lines = [f"template <>\nstruct Coefficients<{real}> {{"]
    for name, function, low, high, *degrees in TABLES:
        values = chebyshev(function, low, last_t(mp.mpf(reach)) if high is None else high, degrees[column])
        suffix = "f" if real == "float" else ""
        numbers = ",\n      ".join(mp.nstr(v, digits) + suffix for v in values)
        lines.append(f"  static constexpr {real} {name}[] = {{\n      {numbers}}};")
    return "\n".join(lines) + "\n};\n"


HEAD = """// Polynomial coefficients, lowest power first. Written by native/fit_coefficients.py, which says what each
// table approximates; do not edit.
#pragma once

namespace {

template <class T>
struct Coefficients;

"""

if __name__ == "__main__":
    structs = coefficients("float", 0, 9, 14) + "\n" + coefficients("double", 1, 17, 39)
    (Path(__file__).parent / "kernels" / "coefficients.hpp").write_text(HEAD + structs + "\n}  // namespace\n")
