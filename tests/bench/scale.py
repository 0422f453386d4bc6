#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""How long many interfaces take to attach, list and detach, beside what `tc -batch` needs to put one trivial filter
on each, and how much kernel memory one takes. As root; makes a network namespace and removes it.

usage: tests/bench/scale.py [INTERFACES [ROUNDS]]    (10000, 5)

Not a test: nothing is asserted of times. It does check that everything was attached, and that nothing is left.
"""
import json
import os
import pathlib
import resource
import statistics
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

import bpf  # noqa: E402
import net  # noqa: E402
import program  # noqa: E402

NAMESPACE = "mssbpf-bench"
PIN = "/sys/fs/bpf/mssbpf-bench-trivial"
TRIVIAL = "tc -batch: clsact and filter"
LINKS = 50  # attached by TCX, each of which waits for the kernel
TIMEOUT = 1800


def processor_time():
    """Seconds that the commands took of processors, up to now; other work on this machine counts less in them."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class Bench:
    """Times of each command by what it is called, in the order they were first measured; bytes likewise."""

    def __init__(self, interfaces):
        self.interfaces = interfaces
        self.times, self.processor, self.bytes = {}, {}, {}

    def time(self, what, *argv, stdin=None):
        """Runs a command in the namespace; it has to succeed. Returns its stdout."""
        start, processor = time.monotonic(), processor_time()
        stdout = net.must("nsenter", f"--net=/run/netns/{NAMESPACE}", *argv, stdin=stdin, timeout=TIMEOUT)
        self.times.setdefault(what, []).append(time.monotonic() - start)
        self.processor.setdefault(what, []).append(processor_time() - processor)
        return stdout

    def mssbpf(self, *words):
        return self.time(f"mssbpf {' '.join(words)}", program.MSSBPF, *words)

    def tc(self, what, lines):
        self.time(what, "tc", "-batch", "-", stdin=lines)

    def took(self, what, before):
        """Notes how much more memory the kernel uses than before, for each interface."""
        self.bytes.setdefault(what, []).append((kernel_memory() - before) / self.interfaces)


def kernel_memory():
    """Bytes in slabs and per-CPU areas, of whatever is on this machine, after a moment to free what is freed late."""
    time.sleep(1)
    fields = dict(line.split(":") for line in pathlib.Path("/proc/meminfo").read_text().splitlines())
    return 1024 * sum(int(fields[name].split()[0]) for name in ("SUnreclaim", "Percpu"))


def map_memory():
    """Bytes that the kernel counts for the limits and the counters."""
    folder = program.PINS / str(net.inode(NAMESPACE))
    return sum(int(json.loads(net.must("bpftool", "-j", "map", "show", "pinned", str(folder / name)))["bytes_memlock"])
               for name in ("limits", "counters"))


def batch(names, *commands):
    return "".join(f"{command.format(name)}\n" for name in names for command in commands)


def qdiscs():
    lines = net.must("tc", "-n", NAMESPACE, "qdisc", "show", timeout=TIMEOUT)
    return lines.count(" clsact ")


def check(what, found, expected):
    if found != expected:
        raise SystemExit(f"{what}: {found} instead of {expected}")


def setup(names):
    net.make_namespaces(NAMESPACE)
    net.ip("-n", NAMESPACE, "link", "add", "base", "type", "veth", "peer", "name", "peer")
    lines = batch(("base", "peer"), "link set {} up")
    lines += batch(names, "link add link base name {} type macvlan", "link set {} up")
    net.must("ip", "netns", "exec", NAMESPACE, "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
    net.must("ip", "-n", NAMESPACE, "-batch", "-", stdin=lines, timeout=TIMEOUT)


def measure(bench, names):
    """One round: tc, then mssbpf."""
    before = kernel_memory()
    bench.tc(TRIVIAL, batch(names, "qdisc add dev {} clsact",
                               f"filter add dev {{}} egress bpf direct-action object-pinned {PIN}"))
    bench.took("tc: clsact and filter", before)
    bench.tc("tc -batch: qdisc del", batch(names, "qdisc del dev {} clsact"))
    check("clsact qdiscs of tc", qdiscs(), 0)

    bench.mssbpf("attach", "base", "--mtu", "1400")  # what is there once for all is no part of what one takes
    before, maps = kernel_memory(), map_memory()
    bench.mssbpf("attach", "x*", "--mtu", "1400")
    bench.took("mssbpf: clsact, filter and maps", before)
    bench.bytes.setdefault("mssbpf: the maps alone", []).append((map_memory() - maps) / bench.interfaces)
    check("attached", len(json.loads(bench.mssbpf("stats", "--json"))), bench.interfaces + 1)
    for words in (("stats",), ("show",), ("show", "--json"), ("attach", names[-1], "--mtu", "1300"),
                  ("attach", "x*", "--mtu", "1300"), ("detach", "--all")):
        bench.mssbpf(*words)
    check("clsact qdiscs", qdiscs(), 0)
    check("pins", program.pins(NAMESPACE), [])
    bench.mssbpf("attach", "x*")
    bench.mssbpf("detach", "x*")
    check("pins", program.pins(NAMESPACE), [])


def measure_tcx(bench, names):
    """Links, in one call; by the name of the call it is told how many."""
    for what, words in (("attach --hook tcx", ("--hook", "tcx", "--mtu", "1400")), ("detach", ())):
        bench.time(f"mssbpf {what} of {len(names)}", program.MSSBPF, what.split()[0], *names, *words)
    check("pins", program.pins(NAMESPACE), [])


def spread(samples, unit):
    median = statistics.median(samples)
    return f"{unit * median:8.0f}{unit * min(samples):8.0f}{unit * max(samples):8.0f}"


def report(bench):
    width = max(map(len, (*bench.times, *bench.bytes)))
    rounds = len(next(iter(bench.times.values())))
    base = [statistics.median(samples[TRIVIAL]) for samples in (bench.times, bench.processor)]
    print(f"{bench.interfaces} interfaces, {rounds} rounds; milliseconds, and how many times what tc -batch took")
    print(f"{'':{width}}  median   least    most  times    processor   least    most  times")
    for what in bench.times:
        ratios = [statistics.median(samples[what]) / unit for samples, unit in zip((bench.times, bench.processor), base)]
        print(f"{what:{width}}{spread(bench.times[what], 1000)}{ratios[0]:7.2f}     "
              f"{spread(bench.processor[what], 1000)}{ratios[1]:7.2f}")
    print(f"\n{'kernel memory of one interface, bytes':{width}}  median   least    most")
    for what, amounts in bench.bytes.items():
        print(f"{what:{width}}{spread(amounts, 1)}")


def main():
    interfaces = int(sys.argv[1]) if len(sys.argv) > 1 else 10000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    names = [f"x{number}" for number in range(interfaces)]
    bench = Bench(interfaces)
    trivial = bpf.Program("trivial", bpf.RETURN_NEXT)
    trivial.pin(PIN)
    try:
        setup(names)
        for number in range(rounds):
            measure(bench, names)
            if bpf.has_tcx():
                measure_tcx(bench, names[:LINKS])
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
    finally:
        os.unlink(PIN)
        program.mssbpf("detach", "--all", netns=NAMESPACE, timeout=TIMEOUT)
        net.delete_namespaces(NAMESPACE)
    report(bench)


if __name__ == "__main__":
    main()
