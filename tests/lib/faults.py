# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Runs a command by way of strace(1), which kills, stops or refuses it at a given system call.

Knows nothing of mssbpf.
"""
import collections
import os
import re
import signal
import subprocess
import tempfile
import time

import net

# FAULTS=long: at each step, instead of at some.
LONG = os.environ.get("FAULTS") == "long"
# What changes anything outside the process; not every architecture has each.
CALLS = ("bpf", "sendto", "sendmsg", "?rename", "?renameat", "?renameat2", "?unlink", "?unlinkat", "?mkdir",
         "?mkdirat", "?rmdir", "mount")
_CALL = re.compile(r"^\d+ +(\w+)\(", re.MULTILINE)
_STOPPED = re.compile(r"^(\d+) +--- stopped by SIGSTOP ---$", re.MULTILINE)


def _strace(log, call, injection, argv):
    inject = ("-e", f"inject={call}:{injection}") if injection else ()
    return ("strace", "-f", "-o", str(log), "-e", f"trace={call}", *inject, *argv)


def steps(argv, calls=CALLS, most=12):
    """Runs a command; returns the steps in it where something may happen, as (call, number), at most so many of them
    unless all are asked for."""
    with tempfile.NamedTemporaryFile("r") as log:
        net.must(*_strace(log.name, ",".join(calls), None, argv))
        counts = collections.Counter(_CALL.findall(log.read()))
    found = [(call, number + 1) for call, count in sorted(counts.items()) for number in range(count)]
    assert found
    return found if LONG else found[::-(-len(found) // most)]


def killed(step, argv):
    """Runs a command that is killed before this step. Tells whether it got there."""
    result = net.run(*_strace("/dev/null", step[0], f"signal=KILL:when={step[1]}", argv))
    assert result.status in (0, 1, -signal.SIGKILL), result
    return result.status == -signal.SIGKILL


def refused(step, error, argv):
    """Runs a command that gets an error from this step; returns its Result."""
    return net.run(*_strace("/dev/null", step[0], f"error={error}:when={step[1]}", argv))


def interrupted(step, argv, meanwhile):
    """Runs a command that stops after this step until `meanwhile()` has been called; returns its Result."""
    with tempfile.NamedTemporaryFile("r") as log:
        process = subprocess.Popen(_strace(log.name, step[0], f"signal=STOP:when={step[1]}", argv),
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        stopped = None
        while not stopped and process.poll() is None:
            time.sleep(0.001)
            log.seek(0)
            stopped = _STOPPED.search(log.read())
        try:
            meanwhile()
        finally:
            if stopped:
                os.kill(int(stopped[1]), signal.SIGCONT)
            stdout, stderr = process.communicate(timeout=15 * net.PATIENCE)
    return net.Result(argv, process.returncode, stdout, stderr)
