"""How tests ask for a BadInput: its message, which is always one line, in Python and on the command line."""

import pytest

from backlit.errors import BadInput


def refusal(action, *args, **options):
    """The message of the BadInput that ``action`` raises; fails if it raises anything else, or nothing."""
    with pytest.raises(BadInput) as caught:
        action(*args, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def answer_or_refusal(action, *args, **options):
    """(answer, None) or (None, message): for input of which it isn't known beforehand whether it is good."""
    message = None
    try:
        return action(*args, **options), None
    except BadInput as error:
        message = str(error)
    assert "\n" not in message
    return None, message


def one_line(err):
    """Whether the command line's standard error is one line of backlit's."""
    return err.startswith("backlit: ") and len(err.strip().splitlines()) == 1
