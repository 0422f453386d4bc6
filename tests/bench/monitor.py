#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What `mssbpf monitor` holds: SYNs at a given rate and as fast as they can be sent, with every kind of reader. As root;
makes two network namespaces and removes them.

usage: tests/bench/monitor.py [RATE [ROUNDS]]    (SYNs a second, 100000; 5)

Not a test: nothing is asserted of times. It does check that what was printed and what was lost are all that was sent.
"""
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

import flood  # noqa: E402
import listening  # noqa: E402
import net  # noqa: E402
import packets  # noqa: E402
import program  # noqa: E402

A, B = "mssbpf-bench-a", "mssbpf-bench-b"
ADDRESSES = "192.0.2.1", "192.0.2.2"
BATCHES = 300  # of flood.SLOTS frames


def frame(flags):
    segment = packets.tcp(packets.mss_option(1460), 10000, 80, flags)
    return packets.frame(b"\x02\0\0\0\0\x99", net.mac(A, "v0"), 4, packets.ip_packet(
        4, *ADDRESSES, packets.with_checksum(4, *ADDRESSES, segment)))


def lost_in(stderr):
    found = listening.LOST.search(stderr)
    return int(found[1]) if found else 0


class Nobody:
    """No monitor at all."""

    def __init__(self, *_):
        pass

    def end(self):
        """How many events were printed, and how many lost."""
        return 0, 0


class File(Nobody):
    """A monitor that prints to a file."""

    def __init__(self, *arguments):
        self.output = tempfile.TemporaryFile("w+")
        self._start(arguments, self.output)

    def _start(self, arguments, stdout):
        self.monitor = listening.Monitor(A, *arguments, stdout=stdout)

    def _printed(self):
        self.output.seek(0)
        with self.output:
            return sum(1 for _ in self.output)

    def end(self):
        _, _, stderr = self.monitor.result(signal.SIGINT)
        return self._printed(), lost_in(stderr)


class Pipe(File):
    """One that prints into a pipe, out of which `wc` counts lines."""

    def __init__(self, *arguments):
        reader, writer = os.pipe()
        self.counter = subprocess.Popen(["wc", "-l"], stdin=reader, stdout=subprocess.PIPE, text=True)
        self._start(arguments, writer)
        os.close(reader)
        os.close(writer)

    def _printed(self):
        return int(self.counter.communicate()[0])


class Blocked(File):
    """One whose pipe nobody reads until the end."""

    def __init__(self, *arguments):
        self.reader, writer = os.pipe()
        self._start(arguments, writer)
        os.close(writer)

    def end(self):
        self.monitor.process.send_signal(signal.SIGINT)
        with open(self.reader, encoding="ascii") as lines:
            printed = sum(1 for _ in lines)
        return printed, lost_in(self.monitor.result()[2])


READERS = (("nobody listens", Nobody, ()), ("text, file", File, ()), ("text, pipe", Pipe, ()),
           ("--json, file", File, ("--json",)), ("text, blocked pipe", Blocked, ()))
# What is sent, flags of TCP, and whether at the rate or as fast as can be.
CASES = (("SYNs, at the rate", packets.SYN, True), ("SYNs, as fast as can be", packets.SYN, False),
         ("no SYNs, as fast as can be", packets.ACK, False))


def send(one, rate):
    """Sends batches, at a rate (frames a second) or as fast as it can. Returns how many frames, and seconds."""
    start = time.monotonic()
    with flood.Flood(A, "v0", one) as sender:
        for batch in range(BATCHES):
            if rate:
                time.sleep(max(0, start + batch * flood.SLOTS / rate - time.monotonic()))
            sender.send(1)
    return BATCHES * flood.SLOTS, time.monotonic() - start


def counted():
    return program.counted(A, "v0").get("syn", 0)


def measure(reader, kind, arguments, flags, rate):
    """Returns frames a second and the share of events lost."""
    before, listener = counted(), kind(*arguments)
    sent, seconds = send(frame(flags), rate)
    printed, lost = listener.end()
    syns = sent if flags == packets.SYN else 0
    if (counted() - before, printed + lost) != (syns, 0 if kind is Nobody else syns):
        raise SystemExit(f"{reader}: sent {syns}, counted {counted() - before}, printed {printed}, lost {lost}")
    return sent / seconds, lost / sent


def report(results):
    print(f"{'frames a second':52}   median    least     most     lost   most")
    for (what, reader), values in results.items():
        speeds, lost = zip(*values)
        print(f"{what:30} {reader:21}" + "".join(f"{value:9,.0f}" for value in (
            statistics.median(speeds), min(speeds), max(speeds))) + f"{statistics.median(lost):9.1%}{max(lost):7.1%}")


def main(rate=100000, rounds=5):
    for namespace in (A, B):
        net.delete_namespaces(namespace)
        net.make_namespaces(namespace)
    try:
        net.ip("link", "add", "v0", "netns", A, "type", "veth", "peer", "name", "v1", "netns", B)
        for namespace, device in ((A, "v0"), (B, "v1")):
            net.ip("-n", namespace, "link", "set", device, "up")
        program.attach(A, "v0", "--mtu", 1400)
        results = {}
        for _ in range(rounds):
            for what, flags, paced in CASES:
                for reader in READERS:
                    results.setdefault((what, reader[0]), []).append(measure(*reader, flags, rate if paced else 0))
        report(results)
    finally:
        program.mssbpf("detach", "--all", netns=A)
        for namespace in (A, B):
            net.delete_namespaces(namespace)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
