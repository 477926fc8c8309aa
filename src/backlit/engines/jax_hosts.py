"""How the hosts of a jax run come together, wait for each other, and notice that one is lost. No step is computed here.

What jax bounds by itself is bounded tightly in ``join``. What it doesn't bound, a host that lives but never comes to
where the others wait, is seen by ``Attendance``.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import BadInput, EngineUnavailable

HEARTBEAT = 10  # seconds after which a silent process counts as gone
JOINING = 15  # seconds within which every host must have come
STUCK = 12  # seconds that the others wait for a host that neither computes nor reads nor writes
LONGEST = 600  # seconds that they wait at all, for one that is still at work or for a call that all have begun
SIGN = "backlit/sign/"
OPTIONS = "backlit/options/"
GO_ON = "Start all hosts again; with --checkpoint DIR --resume they go on from the newest checkpoint."


def lost() -> str:
    """What to say when another host is gone."""
    return f"another host of this run has ended, stopped or never came. {GO_ON}"


def join(address: str, rank: int, world: int, end: Callable[[str], object]) -> None:
    """Makes this process host ``rank`` of ``world``; ``address`` is HOST:PORT of host 0. Before any array is made.

    All times that bound a wait are short: a host that never comes or falls silent ends the others (the process, by a
    signal, which no exception can catch: whoever starts a host watches it). ``end`` is called, in a thread, with a
    sentence when a host lives but doesn't come to where the others wait; it must end the process.
    """
    import jax

    jax.distributed.initialize(
        address,
        num_processes=world,
        process_id=rank,
        initialization_timeout=JOINING,
        heartbeat_timeout_seconds=HEARTBEAT,
        shutdown_timeout_seconds=HEARTBEAT,
    )
    _be_reached_at(_own_address(address))
    client = _client()
    if client is not None and world > 1:
        attendance = Attendance(client, rank, end)
        threading.Thread(target=attendance.watch, daemon=True).start()
        _MEETING.append(attendance)


def _client() -> Any:
    """jax's store of names and values that all hosts see; None where this jax keeps it elsewhere."""
    with suppress(ImportError, AttributeError):
        from jax._src import distributed

        return distributed.global_state.client
    return None


def _own_address(address: str) -> str:
    """This machine's address on the way to host 0."""
    host, _, port = address.rpartition(":")
    family, kind, protocol, _, target = socket.getaddrinfo(host, int(port), type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.connect(target)  # sends nothing
        return str(probe.getsockname()[0])


def _be_reached_at(own: str) -> None:
    """Has gloo, which adds up the sums of hosts without accelerators, give this address to the others.

    By itself it gives what this machine's name resolves to, often 127.0.0.1, and jax has no option for it. Where the
    maker that is changed here is gone, the name must do.
    """
    with suppress(ImportError, AttributeError):
        from jax._src.lib import _jax

        _jax.make_gloo_tcp_collectives = partial(_jax.make_gloo_tcp_collectives, hostname=own)


def check_alike(rank: int, world: int, options: Mapping[str, str]) -> None:
    """BadInput that names an option which the hosts weren't all given alike; after ``join``."""
    client = _client()
    if client is None:
        return
    client.key_value_set(f"{OPTIONS}{rank}", json.dumps(dict(options)))
    for other in range(world):
        try:
            theirs = json.loads(client.blocking_key_value_get(f"{OPTIONS}{other}", JOINING * 1000))
        except Exception as error:
            raise EngineUnavailable(f"engine 'jax': {lost()}") from error
        for name, value in options.items():
            if theirs.get(name) != value:
                raise BadInput(
                    f"--hosts: {name} is {value} on host {rank} and {theirs.get(name)} on host {other}: give every "
                    "host the same."
                )


def wait_for_all() -> None:
    """Returns when every host has come to its end; EngineUnavailable if one is gone."""
    from jax.experimental import multihost_utils

    try:
        with meeting():
            multihost_utils.sync_global_devices("end")
    except Exception as error:
        raise EngineUnavailable(f"engine 'jax': {lost()}") from error


@contextmanager
def meeting() -> Iterator[None]:
    """Around everything that all hosts must do together."""
    attendance = _MEETING[0] if _MEETING else None
    if attendance is not None:
        attendance.enter()
    try:
        yield
    finally:
        if attendance is not None:
            attendance.entered_at = None


class Attendance:
    """Tells the other hosts how many meetings this one has come to and whether it works; ends it if one stays away."""

    def __init__(
        self, client: Any, rank: int, end: Callable[[str], object], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.client, self.rank, self.end, self.clock = client, rank, end, clock
        self.meetings = 0
        self.entered_at: float | None = None  # None: not waiting for anybody
        self.signs: dict[int, tuple[list[float], float]] = {}  # rank -> its last sign, and when that was new

    def enter(self) -> None:
        """This host has come to a meeting."""
        self.meetings += 1
        self.entered_at = self.clock()

    def watch(self) -> None:
        """For a thread: never returns."""
        while True:
            with suppress(Exception):  # the store is gone with host 0, which jax notices by itself
                self.look(work_done())
            time.sleep(1)

    def look(self, work: float) -> None:
        """Gives this host's sign, reads those of the others, and ends this process if it waits for nothing."""
        self.client.key_value_set(f"{SIGN}{self.rank}", json.dumps([self.meetings, work]), allow_overwrite=True)
        every = {int(name.removeprefix(SIGN)): json.loads(text) for name, text in self.client.key_value_dir_get(SIGN)}
        now = self.clock()
        for rank, sign in every.items():
            if rank not in self.signs or self.signs[rank][0] != sign:
                self.signs[rank] = sign, now
        entered_at, meetings = self.entered_at, self.meetings
        if entered_at is None:
            return
        for rank, ((came, _), changed_at) in self.signs.items():
            if came < meetings and now - max(changed_at, entered_at) > STUCK:
                self.end(f"host {rank} of this run shows no sign of work while the others wait for it. {GO_ON}")
        if now - entered_at > LONGEST:
            self.end(f"the hosts of this run have waited for each other for {LONGEST // 60} minutes. {GO_ON}")


_MEETING: list[Attendance] = []  # of this process, once it has joined others


def work_done() -> float:
    """A number that grows while this process's main thread computes, or the process reads from or writes to a disk."""
    try:
        ident = threading.main_thread().ident
        seconds = time.clock_gettime(time.pthread_getcpuclockid(ident or 0))
        lines = Path("/proc/self/io").read_text("ascii").splitlines()
        moved = sum(int(line.split()[1]) for line in lines if line.startswith(("read_bytes", "write_bytes")))
    except (AttributeError, OSError):  # not Linux: then only LONGEST bounds the wait for a living host
        return round(time.process_time(), 1)
    return round(seconds, 1) + moved / 4096
