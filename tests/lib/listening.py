# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A running `mssbpf monitor`, and the page that the programs look at for it."""
import json
import re
import signal
import subprocess
import time

import net
import program

LOST = re.compile(r"mssbpf: warning: monitor: (\d+) events lost: ")


class Watch:
    """The page that the programs look at, as bpftool shows it."""

    def __init__(self, namespace):
        self.folder = program.PINS / str(net.inode(namespace))

    def _dump(self, name):
        return json.loads(net.must("bpftool", "--json", "map", "dump", "pinned", str(self.folder / name)))

    @property
    def until(self):
        """Up to when events are sent, seconds of CLOCK_MONOTONIC."""
        value = self._dump("watch")[0]["value"][:8]
        return int.from_bytes(bytes(int(byte, 16) for byte in value), "little") / 1e9

    @property
    def has_ring(self):
        return any("error" not in entry.get("value", {}) for entry in self._dump("events"))


class Monitor:
    """A running `mssbpf monitor`, whose lease has begun."""

    def __init__(self, namespace, *arguments, **options):
        options.setdefault("stdout", subprocess.PIPE)
        before = Watch(namespace).until
        self.process = subprocess.Popen([program.MSSBPF, "monitor", "--netns", namespace, *arguments],
                                        stderr=subprocess.PIPE, text=True, **options)
        deadline = time.monotonic() + net.TIMEOUT
        while Watch(namespace).until in (0, before):
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < deadline, "it does not begin"
            time.sleep(0.01)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def result(self, number=None):
        """Its exit status, lines and stderr, after a signal if one is given."""
        if number is not None:
            self.process.send_signal(number)
        stdout, stderr = self.process.communicate(timeout=60 * net.PATIENCE)
        return self.process.returncode, (stdout or "").splitlines(), stderr

    def done(self, number=signal.SIGINT):
        """The lines of one that ends well and has nothing to complain of."""
        status, lines, stderr = self.result(number)
        assert (status, stderr) == (0, ""), (status, lines[-10:], stderr)
        return lines
