"""Docstrings are plain text; here they become what Sphinx reads: ``name:  what it is`` turns into a list of terms.

Links between public names are found through the door, whose names live in rooms.
"""

from __future__ import annotations

import re
from typing import Any

import backlit

TERM = re.compile(r"^(X|[a-z_][\w.]*(?:, [a-z_]\w*)*):\s+(\S.*)$")
SENTENCE = re.compile(r"[.!?:]\W*$")
LITERAL = re.compile(r"(``.+?``)")
SPECIAL = re.compile(r"[\\*|`]|_(?=\W|$)")


def setup(app: Any) -> None:
    from sphinx.util.inspect import TypeAliasForwardRef

    # Inside another type (Floats | None) Sphinx shows a name that it must not resolve by its repr.
    TypeAliasForwardRef.__repr__ = lambda alias: alias.name  # type: ignore[method-assign]
    app.connect("autodoc-process-docstring", _process)
    app.connect("missing-reference", _through_the_door)


def _process(app: Any, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    lines[:] = restructured(lines)


def restructured(lines: list[str]) -> list[str]:
    """The lines of a docstring as reStructuredText."""
    done: list[str] = []
    doctest = inside = False
    for line in lines:
        match = TERM.match(line)
        goes_on = inside and bool(line.strip()) and (line.startswith("    ") or not SENTENCE.search(done[-1]))
        doctest = bool(line.strip()) and (doctest or line.lstrip().startswith(">>>"))
        if doctest:
            done.append(line)
        elif match:
            done += ["", f"``{match[1]}``", f"    {_escaped(match[2])}"]
        elif goes_on:
            done.append(f"    {_escaped(line.strip())}")
        else:
            if inside and line.strip():
                done.append("")
            done.append(_escaped(line))
        inside = bool(match) or goes_on
    return [*done, ""]


def _escaped(text: str) -> str:
    parts = LITERAL.split(text)
    return "".join(part if n % 2 else SPECIAL.sub(r"\\\g<0>", part) for n, part in enumerate(parts))


def _through_the_door(app: Any, env: Any, node: Any, content: Any) -> Any:
    """backlit.state.State is documented as backlit.State."""
    target = str(node.get("reftarget", ""))
    name = target.rpartition(".")[2]
    if node.get("refdomain") != "py" or name not in backlit.__all__ or not target.startswith(("backlit.", name)):
        return None
    domain = env.get_domain("py")
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", f"backlit.{name}", node, content)
