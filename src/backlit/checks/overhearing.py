"""How the calls of an attribute are overheard, and the attribute put back. What is made of them is said elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

MISSING = object()


def overhear(thing: Any, name: str, listener: Callable[..., None]) -> tuple[Any, str, Any]:
    """Lets ``listener`` hear of the calls of an attribute, with what they gave; returns what put_back needs."""
    before = vars(thing).get(name, MISSING)
    setattr(thing, name, _heard(getattr(thing, name), listener))
    return thing, name, before


def put_back(replaced: list[tuple[Any, str, Any]]) -> None:
    """Undoes overhear."""
    for thing, name, before in replaced:
        if before is MISSING:
            delattr(thing, name)
        else:
            setattr(thing, name, before)


def _heard(function: Callable[..., Any], listener: Callable[..., None]) -> Callable[..., Any]:
    @wraps(function)
    def heard(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        listener(args, kwargs, result)
        return result

    return heard
