"""The gallery of bugs, from examples/bugs: each program with its report, in place of ``<!-- bugs -->``.

What stands here of a bug: its group, and how its numbers are computed before they are compared.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

MARK = "<!-- bugs -->"
EXAMPLES = Path(__file__).parents[2] / "examples"
GALLERY = EXAMPLES / "bugs"

# group -> (what its bugs have in common, {name: how the hypothesis is computed})
GROUPS: dict[str, tuple[str, dict[str, str]]] = {
    "A constant before the gradient": (
        "One factor c, fitted to the numbers, explains all of them; which factor it is decides on the name.",
        {
            "sign": "c · (the right gradient), and c is −1.",
            "sum_not_mean": "c · (the right gradient), and c is N, the number of examples.",
            "mean_twice": "c · (the right gradient), and c is 1/N.",
            "scale": "c · (the right gradient), for any other c; the text says so where c is 2, ½ or the outputs.",
            "layer_scale": "c · (the right gradient) in one layer, 1 in the others.",
        },
    ),
    "The slope of the activation": (
        "The backward pass is run with another slope: in each hidden layer, in all of them, and at the output.",
        {
            "missing_derivative": "δ = (W·δ of the layer above), with 1 where σ′(z) belongs.",
            "derivative_of_activation": "δ = (W·δ of the layer above) · σ′(a): the slope, taken at a where z belongs.",
            "double_derivative": "δ = (W·δ of the layer above) · σ′(z)².",
            "wrong_derivative": "δ = (W·δ of the layer above) · σ′ without a part of it, or another activation's.",
            "extra_output_derivative": "δ = (a − y) · σ′(z) at the output, with a loss in which σ′ has cancelled.",
        },
    ),
    "Outputs and targets": (
        "The delta of the output is what the mistake makes of outputs and targets; below it all is right.",
        {
            "broadcast_targets": "each output held against the targets of all rows: δᵢ = mean over j of δ(aᵢ, yⱼ).",
            "targets_out_of_step": "δ with the target of the next or previous row, round the end or not; or reversed.",
            "double_softmax": "a − y with softmax(a) for a; and the derivative through both.",
        },
    ),
    "The sum over the batch": (
        "The activations and deltas are right; what is made of the rows is not.",
        {
            "averaged_activations": "mean(a)ᵀ · mean(δ) for mean(aᵀδ); and the gradient of the average example.",
            "last_example_only": "the gradient of the last row, divided by N or not.",
            "first_example_only": "the gradient of the first row, divided by N or not.",
            "example_left_out": "the sum without its first or last row, divided by N or by N − 1.",
            "bias_not_summed": "∂L/∂b is one row's δ, or still has a row axis; the weights are right.",
            "bias_missing": "∂L/∂b is 0 in one layer or all; and the forward pass without biases.",
        },
    ),
    "Weights, and when they move": (
        "The right formulas, with the wrong array.",
        {
            "transposed_weights": "W for Wᵀ on the way back, or ∂L/∂W transposed, in layers that are square.",
            "l2_included": "theirs − the right one = λ·W in every layer, nothing in the biases; λ is fitted.",
            "stale_gradient": "theirs − the gradient of the step before, compared with the right one.",
            "updated_before_backward": "δ taken through W − η·∂L/∂W; the rate η is found from their numbers.",
        },
    ),
    "None of these": (
        "When no hypothesis gives the numbers, with a constant or without, alone or in pairs, the report says so.",
        {"unknown": "everything above was computed and excluded; the nearest is told, and the first wrong layer."},
    ),
}


def fill(app: Any, page: str, source: list[str]) -> None:
    """Sphinx's source-read."""
    if MARK in source[0]:
        source[0] = source[0].replace(MARK, gallery())


def gallery() -> str:
    """All groups, as Markdown for a page in docs."""
    parts = []
    for group, (common, bugs) in GROUPS.items():
        parts += [f"## {group}", "", common, ""]
        parts += [section(name, how) for name, how in bugs.items()]
    return "\n".join(parts)


def section(name: str, how: str) -> str:
    """One bug: the program with its wrong lines marked, how it is recognised, the report."""
    program = (GALLERY / f"{name}.py").read_text("utf-8")
    report = (GALLERY / f"{name}.txt").read_text("utf-8")
    title = program.partition('"""')[2].partition('"""')[0]
    wrong = ",".join(map(str, wrong_lines(program)))
    marked = f":emphasize-lines: {wrong}\n" if wrong else ""
    return (
        f"### {name}\n\n{title}\n\nComputed and compared: {how}\n\n"
        f"```{{code-block}} python\n{marked}\n{program}```\n\n```text\n{report}```\n"
    )


def wrong_lines(program: str) -> list[int]:
    """The lines, from 1, that the right program doesn't have; the first lines, which name the bug, apart."""
    right = (EXAMPLES / "backprop.py").read_text("utf-8").splitlines()
    lines = program.splitlines()
    changes = difflib.SequenceMatcher(None, right, lines, autojunk=False).get_opcodes()
    return [n + 1 for tag, _, _, start, end in changes if tag != "equal" for n in range(max(start, 1), end)]
