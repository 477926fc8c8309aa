"""Training without a chain rule: the plain engine with every parameter moved by 0.0001 to get the gradient.

P + 1 forward passes for each update of P parameters: for small networks, and for seeing what backpropagation saves.
"""

from . import reference


def availability() -> str:
    """Always ready: it needs NumPy only."""
    return "ready"


class Engine(reference.Engine):
    """See engines.Engine."""

    gradient = "finite_differences"
