"""``fit``: drains the loop with its observers. Nothing is computed here."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any

import numpy as np

from ..batches import Order
from ..data import Dataset
from ..errors import BadInput
from ..network import Network
from ..optimizers import Optimizer
from ..progress import Progress
from ..state import State, initial_state
from ..training import train
from .checkpoints import Checkpoints, Keeper, plan_of
from .display import Display
from .history import History
from .interrupts import Interrupts
from .validation import EarlyStopping, Validation

Observer = Callable[[Progress], object]


def fit(
    net: Network,
    opt: Optimizer,
    data: Any,
    *,
    batch_size: int = 32,
    epochs: int = 10,
    seed: int = 0,
    state: State | None = None,
    engine: str = "auto",
    order: Order = "shuffled",
    validation: Any = None,
    early_stopping: EarlyStopping | int | bool | None = None,
    observers: Iterable[Observer] = (),
    progress: bool = True,
    checkpoints: Checkpoints | None = None,
    watch: Iterable[int] = (),
    noise: bool = False,
) -> tuple[State, History]:
    """Trains to the end and gives (state, history). See ``train`` for the arguments that are not told here.

    validation:      a Dataset or a pair (x, y), evaluated after every epoch; its labels are read by the classes of
                     ``data``, of which it may lack some.
    early_stopping:  an EarlyStopping, or its patience in epochs; it needs validation, and puts the best State back.
    observers:       called with every Progress; one that returns True ends the run. One that has ``begin(history)`` is
                     given the History before the run. One that has ``record() -> dict``
                     and ``restore(dict)`` is kept in checkpoints: plain JSON, and States.
    checkpoints:     a Checkpoints: where and how often the run is kept, and whether to go on with what is there.
    watch:           numbers of steps, from 0, to be kept in ``history.watched`` for looking at.
    noise:           measure the gradient noise: ``history.noise_scale``, a point for every 100 updates; see ``train``.
    progress:        show a bar on a terminal, lines where there is none.

    Ctrl-C ends the run and leaves the State of the last finished step: it is returned, ``history.interrupted`` is
    True, and a line says so. Observers finish what they were told; pressed again 5 seconds later, it ends them, too.

    >>> x = np.linspace(-1, 1, 64)[:, None]
    >>> state, history = bl.fit(bl.Network([1, 1]), bl.SGD(0.3), (x, 2 * x + 1), epochs=50, progress=False)
    >>> state.parameters.round(3), len(history.loss)
    (array([2., 1.], dtype=float32), 50)
    """
    stopping = EarlyStopping.of(early_stopping)
    if stopping is not None and validation is None:
        raise BadInput("fit: early_stopping needs validation data: give validation=(x, y).")
    _check_checkpoints(checkpoints)
    observers = _checked(observers)
    history = History()
    chain: list[Observer] = [history]
    validator = None
    if validation is not None:
        data = Dataset.of(data)
        validator = Validation(net, validation, data, stopping, history)
        chain.insert(0, validator)  # before the history: interrupted in between, its lists stay equally long
    for observer in observers:
        if hasattr(observer, "begin"):
            observer.begin(history)
        chain.append(observer)
    state = initial_state(net, opt, seed=seed) if state is None else state
    newest: Progress | None = None
    with ExitStack() as open_things:
        interrupts = open_things.enter_context(Interrupts())
        if checkpoints is not None:
            plan = plan_of(net, opt, state, data, batch_size, seed, order, engine)
            keeper = open_things.enter_context(Keeper(checkpoints, plan, tuple(chain), history))
            state = keeper.resume(state)
            chain = [keeper.starting, *chain, keeper]
        every = None if checkpoints is None else checkpoints.interval[0]  # a report wherever one is due
        run = train(
            net, opt, data, batch_size=batch_size, epochs=epochs, seed=seed, state=state, engine=engine, order=order,
            watch=watch, reports_every=every, noise=noise,
        )  # fmt: skip
        if validator is not None and validator.wants_to_stop:
            run = iter(())
        display = open_things.enter_context(Display(history, shown=progress))
        try:
            for report in run:
                interrupts.hold()  # until all the observers have seen it: a checkpoint holds what they made of one step
                newest = report
                answers = [observer(newest) for observer in chain]
                interrupts.release()
                display(newest)
                if any(isinstance(answer, bool | np.bool_) and answer for answer in answers):
                    break
            interrupts.hold()
        except KeyboardInterrupt:
            history.interrupted = True
        if newest is not None:
            state = newest.state()
    history.interrupted = history.interrupted or interrupts.waiting
    if not history.interrupted and validator is not None and validator.best is not None:
        state = validator.best
    elif history.interrupted or (newest is None and progress and state.step):
        print(_ended(state, history, epochs), file=sys.stderr)
    return state, history


def _ended(state: State, history: History, epochs: int) -> str:
    """The line on a run that didn't end by making its last update."""
    if history.interrupted:
        return f"interrupted: the result is the state of the last finished step, update {state.step}."
    behind = f"the state has {state.step} updates behind it, and epochs={epochs}, the total, makes no more"
    return f"nothing was left to train: {behind}."


def _check_checkpoints(given: object) -> None:
    if given is not None and not isinstance(given, Checkpoints):
        wanted = 'fit: checkpoints must be a bl.Checkpoints, such as bl.Checkpoints("runs/big", every="30s")'
        raise BadInput(f"{wanted}; got {given!r:.60}.")


def _checked(observers: object) -> tuple[Observer, ...]:
    """The observers, if all of them can be called with a Progress."""
    wanted = "fit: observers must be a list of functions, or of objects that can be called, of one Progress"
    if not isinstance(observers, Iterable) or isinstance(observers, str):
        raise BadInput(f"{wanted}; got {observers!r:.60}.")
    given = tuple(observers)
    for observer in given:
        if not callable(observer):
            raise BadInput(f"{wanted}; got {observer!r:.60} in it.")
    return given
