"""Training on several hosts: real processes that meet on loopback, and what becomes of them when one is lost."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from ladder import far
from requires import requires

import backlit as bl

reason = bl.available_engines()["jax"]
requires("jax", reason == "ready", reason)

END_WITHIN = 20  # seconds, from the moment another host is lost


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Host(subprocess.Popen):
    """One ``backlit train --hosts``."""

    def __init__(self, rank, port, *options, world=2, address="127.0.0.1", prefix=(), data="digits"):
        command = [*prefix, sys.executable, "-m", "backlit", "train", data, "--hosts", f"{address}:{port}"]
        command += ["--rank", str(rank), "--world", str(world), *map(str, options)]
        super().__init__(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def child(self) -> int:
        """The process that does the work; this one watches it."""
        with open(f"/proc/{self.pid}/task/{self.pid}/children") as children:
            return int(children.read().split()[0])


def until_checkpoint(folder, seconds=90):
    deadline = time.monotonic() + seconds
    while not list(folder.glob("step-*.checkpoint")):
        assert time.monotonic() < deadline, "no checkpoint came"
        time.sleep(0.05)


def one_line(said: str) -> str:
    lines = [line for line in said.splitlines() if line.startswith("backlit:")]
    assert len(lines) == 1 and "Traceback" not in said, said
    return lines[0]


def test_two_processes_give_the_parameters_of_one(tmp_path):
    """100 steps; each host holds half of the rows, so each mini-batch is divided unevenly."""
    options = ["--epochs", "2", "--batch-size", "29", "--optimizer", "sgd", "--rate", "0.3"]
    port = free_port()
    hosts = [Host(rank, port, *options, "--save", tmp_path / f"of{rank}") for rank in (0, 1)]
    (out, err), (followed, silence) = (host.communicate(timeout=120) for host in hosts)
    assert [host.returncode for host in hosts] == [0, 0], (err, silence)
    assert "test accuracy" in out and followed == silence == ""
    assert not (tmp_path / "of1").exists(), "only rank 0 saves"
    together = bl.load(tmp_path / "of0")[2]
    for engine in ("jax", "reference"):
        command = [sys.executable, "-m", "backlit", "train", "digits", *options, "--engine", engine, "--quiet"]
        subprocess.run([*command, "--save", str(tmp_path / engine)], check=True, capture_output=True)
        alone = bl.load(tmp_path / engine)[2]
        assert together.step == alone.step == 100
        assert np.abs(together.parameters - alone.parameters).max() < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["rank 0 killed", "rank 1 killed", "rank 1's watcher killed", "rank 1 stopped"])
def test_a_lost_host_ends_the_others_which_go_on_with_resume(lost, tmp_path):
    options = ["--epochs", "40", "--quiet", "--checkpoint", tmp_path / "run", "--every", "200ms", "--resume"]
    port = free_port()
    hosts = [Host(rank, port, *options) for rank in (0, 1)]
    until_checkpoint(tmp_path / "run")
    victim = hosts[0 if "rank 0" in lost else 1]
    other = hosts[1 if "rank 0" in lost else 0]
    process = victim.pid if "watcher" in lost else victim.child()
    os.kill(process, signal.SIGSTOP if "stopped" in lost else signal.SIGKILL)
    start = time.monotonic()
    _, said = other.communicate(timeout=60)
    assert time.monotonic() - start < END_WITHIN
    assert other.returncode == 1 and "--resume" in one_line(said)
    if "stopped" in lost:
        os.kill(process, signal.SIGKILL)
    victim.kill()
    victim.communicate()
    port = free_port()
    hosts = [Host(rank, port, *options, "--save", tmp_path / "model") for rank in (0, 1)]
    ends = [host.communicate(timeout=300) for host in hosts]
    assert [host.returncode for host in hosts] == [0, 0], ends
    assert "going on from" in ends[0][1]
    assert bl.load(tmp_path / "model")[2].step == 40 * 45


@pytest.mark.slow
def test_a_host_that_raises_and_one_that_never_comes(tmp_path):
    port = free_port()
    wrong = Host(1, port, "--quiet", data="iris")  # another network than rank 0's
    right = Host(0, port, "--quiet")
    for host in (wrong, right):
        _, said = host.communicate(timeout=90)
        assert host.returncode == 1
        assert "don't begin alike" in one_line(said) or "--resume" in one_line(said)
    start = time.monotonic()
    for rank in (0, 1):
        lonely = Host(rank, free_port(), "--quiet")
        _, said = lonely.communicate(timeout=90)
        assert lonely.returncode == 1 and "never came" in one_line(said)
    assert time.monotonic() - start < 2 * (END_WITHIN + 15)  # and the time to start Python


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_host_that_lives_but_never_comes_ends_the_others(rank, tmp_path):
    """After some calls the main thread of one host waits for ever, while jax's own threads go on sending heartbeats."""
    stuck = (
        "import sys, time\n"
        "from backlit.engines import jax\n"
        "advance, calls = jax.Engine.advance, []\n"
        "def slow(self, *given):\n"
        "    calls.append(1)\n"
        "    if len(calls) > 20: print('waits', file=sys.stderr, flush=True); time.sleep(600)\n"
        "    return advance(self, *given)\n"
        "jax.Engine.advance = slow\n"
        "from backlit.cli import main\n"
        "main()\n"
    )
    port = free_port()
    options = ["train", "digits", "--hosts", f"127.0.0.1:{port}", "--world", "2", "--epochs", "40", "--quiet"]
    command = [sys.executable, "-c", stuck, *options, "--rank", str(rank)]
    victim = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    other = Host(1 - rank, port, "--epochs", "40", "--quiet")
    assert victim.stderr.readline() == "waits\n"
    start = time.monotonic()
    _, said = other.communicate(timeout=60)
    assert time.monotonic() - start < END_WITHIN
    assert other.returncode == 1 and f"host {rank} of this run shows no sign of work" in one_line(said)
    assert "--resume" in said
    victim.communicate(timeout=30)
    assert victim.returncode == 1


class Store(dict):
    """What Attendance uses of jax's store."""

    def key_value_set(self, name, value, allow_overwrite):
        self[name] = value

    def key_value_dir_get(self, prefix):
        return list(self.items())


def test_who_works_is_waited_for_and_who_does_not_is_not():
    from backlit.engines.jax_hosts import LONGEST, STUCK, Attendance

    now, store, said = [0.0], Store(), []
    here, there = (
        Attendance(store, rank, lambda text, r=rank: said.append((r, text)), lambda: now[0]) for rank in (0, 1)
    )

    def pass_by(seconds, works):
        for _ in range(int(seconds)):
            now[0] += 1
            here.look(7.0)
            there.look(now[0] if works else 7.0)

    pass_by(1000, works=False)
    assert not said, "nobody waits"
    here.enter()
    pass_by(STUCK + 1, works=True)
    pass_by(STUCK, works=False)
    assert not said, "it worked until just now"
    pass_by(3, works=False)
    assert said[0][0] == 0 and "host 1 of this run shows no sign of work" in said[0][1] and "--resume" in said[0][1]
    there.enter()
    there.look(7.0)
    said.clear()
    pass_by(2 * STUCK, works=False)
    assert not said, "all have come: the call itself may take long"
    here.entered_at = there.entered_at = None
    here.enter()
    pass_by(LONGEST, works=True)
    assert not said
    pass_by(2, works=True)
    assert "have waited for each other for 10 minutes" in said[0][1]


def test_work_is_seen():
    from backlit.engines.jax_hosts import work_done

    before, end = work_done(), time.monotonic() + 10
    while work_done() == before:
        assert time.monotonic() < end, "computing changes it"


@pytest.mark.slow
def test_other_options_are_named():
    port = free_port()
    hosts = [Host(rank, port, "--quiet", "--batch-size", size) for rank, size in ((0, "32"), (1, "64"))]
    for host in hosts:
        _, said = host.communicate(timeout=60)
        assert host.returncode == 1 and "--batch-size is" in one_line(said) and "give every host the same" in said


@pytest.mark.slow
def test_ctrl_c_on_rank_0(tmp_path):
    port = free_port()
    options = ["--epochs", "40", "--quiet", "--checkpoint", tmp_path / "run", "--every", "200ms", "--resume"]
    hosts = [Host(rank, port, *options) for rank in (0, 1)]
    until_checkpoint(tmp_path / "run")
    os.kill(hosts[0].child(), signal.SIGINT)
    start = time.monotonic()
    (_, said), (_, other) = (host.communicate(timeout=60) for host in hosts)
    assert time.monotonic() - start < END_WITHIN
    assert hosts[0].returncode == 130 and "Traceback" not in said
    assert hosts[1].returncode == 1 and "--resume" in one_line(other)


@pytest.mark.slow
def test_between_network_namespaces(tmp_path):
    """Two hosts that share no loopback, only a wire."""
    requires("netns", shutil.which("ip") is not None, "It takes the package iproute2.")
    made = subprocess.run(["ip", "netns", "add", "backlit0"], capture_output=True, text=True)
    requires("netns", made.returncode == 0, f"no right to make network namespaces: {made.stderr.strip()}")
    try:
        for line in (
            "netns add backlit1",
            "link add wire0 netns backlit0 type veth peer name wire1 netns backlit1",
            "-n backlit0 addr add 10.77.0.1/24 dev wire0",
            "-n backlit1 addr add 10.77.0.2/24 dev wire1",
            "-n backlit0 link set wire0 up",
            "-n backlit1 link set wire1 up",
            "-n backlit0 link set lo up",
            "-n backlit1 link set lo up",
        ):
            subprocess.run(["ip", *line.split()], check=True, capture_output=True)
        options = ["--epochs", "2", "--quiet", "--save", tmp_path / "model"]
        hosts = [
            Host(rank, 29471, *options, address="10.77.0.1", prefix=["ip", "netns", "exec", f"backlit{rank}"])
            for rank in (0, 1)
        ]
        ends = [host.communicate(timeout=120) for host in hosts]
        assert [host.returncode for host in hosts] == [0, 0], ends
        assert bl.load(tmp_path / "model")[2].step == 90
    finally:
        for name in ("backlit0", "backlit1"):
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


@pytest.mark.parametrize(
    "options",
    [["--rank", "0"], ["--hosts", "here"], ["--hosts", "a:1", "--rank", "2", "--world", "2"],
     ["--hosts", "a:1", "--rank", "0", "--world", "1", "--engine", "native"]],
)  # fmt: skip
def test_misuse(options):
    command = [sys.executable, "-m", "backlit", "train", "digits", *options]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and "--hosts" in done.stderr


def test_several_devices_of_one_host():
    """Three devices in one process, which hold shares of 8, 8 and 7 rows."""
    code = (
        "import sys, numpy as np, backlit as bl\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from ladder import batch, states\n"
        "net, opt = bl.Network([4, 5, 2], hidden='tanh'), bl.Adam(0.01)\n"
        "x, y, s = batch(net, 23)\n"
        "eng = bl.open_engine('jax', net, opt, states(net, opt, 'float64'), bl.Dataset(x, y, s))\n"
        "eng.advance(np.arange(20).reshape(4, 5)); eng.advance(np.array([[21, 22, 0]]))\n"
        "print(eng.state().parameters.tolist())\n"
    )
    env = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=3", "JAX_PLATFORMS": "cpu"}
    here = os.path.dirname(__file__)
    done = subprocess.run([sys.executable, "-c", code, here], capture_output=True, text=True, env=env, check=True)
    from ladder import batch, states

    net, opt = bl.Network([4, 5, 2], hidden="tanh"), bl.Adam(0.01)
    x, y, s = batch(net, 23)
    state = states(net, opt, "float64")
    for rows in [*np.arange(20).reshape(4, 5), np.array([21, 22, 0])]:
        state = bl.step(net, opt, state, x[rows], y[rows], sample_weight=s[rows]).after
    assert far(np.array(eval(done.stdout)), state.parameters) < 1e-11
