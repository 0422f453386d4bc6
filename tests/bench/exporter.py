#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""How many scrapes a second `mssbpf exporter` holds with many interfaces, what one takes of a processor, and whether its
memory stays as it is. As root; makes a network namespace and removes it.

usage: tests/bench/exporter.py [INTERFACES [SCRAPES [CONNECTIONS]]]    (1000, 100000, 4)

Not a test: nothing is asserted of times. It does check that every answer is whole, and that the metrics are those of all
interfaces. Scrapes are compressed, as Prometheus asks for them; a hundred that are not are timed beside.
"""
import gzip
import os
import pathlib
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

import exporter  # noqa: E402
import net  # noqa: E402
import program  # noqa: E402

NAMESPACE = "mssbpf-bench"
TIMEOUT = 1800
TICK = os.sysconf("SC_CLK_TCK")


class Scraper:
    """One connection that is kept, and asks again as soon as it has the answer."""

    def __init__(self, encoding):
        self.socket = exporter.connect(NAMESPACE)
        self.request = (f"GET /metrics HTTP/1.1\r\nHost: {exporter.LISTEN}\r\nAccept-Encoding: {encoding}\r\n\r\n").encode()
        self.buffer = bytearray(1 << 20)
        self.slowest = 0

    def scrape(self, keep=False):
        """Returns how many bytes the body has, or the body."""
        start = time.monotonic()
        self.socket.sendall(self.request)
        view, got, body = memoryview(self.buffer), 0, b""
        while (end := self.buffer.find(b"\r\n\r\n", 0, got)) < 0:
            got += self._receive(view[got:])
        head = bytes(view[:end])
        if not head.startswith(b"HTTP/1.1 200 "):
            raise SystemExit(f"answered: {head}")
        size = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
        body, left = bytes(view[end + 4:got]) if keep else b"", size - (got - end - 4)
        while left > 0:
            got = self._receive(view[:left])
            left -= got
            body += bytes(view[:got]) if keep else b""
        self.slowest = max(self.slowest, time.monotonic() - start)
        return body if keep else size

    def _receive(self, view):
        got = self.socket.recv_into(view)
        if not got:
            raise SystemExit("the exporter closed a connection")
        return got


def processor_time(process):
    """Seconds of a processor it has taken, in the program and in the kernel for it."""
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def memory(process):
    for line in pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    raise SystemExit("it has ended")


def setup(interfaces):
    net.make_namespaces(NAMESPACE)
    net.must("ip", "netns", "exec", NAMESPACE, "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1")
    net.ip("-n", NAMESPACE, "link", "add", "base", "type", "veth", "peer", "name", "peer")
    lines = "".join(f"link add link base name x{number} type macvlan\n" for number in range(interfaces))
    net.must("ip", "-n", NAMESPACE, "-batch", "-", stdin=lines, timeout=TIMEOUT)
    program.done(program.mssbpf("attach", "x*", "--mtu", "1400", "--hook", "clsact", netns=NAMESPACE, timeout=TIMEOUT))


def check(interfaces):
    """One page, plain and compressed."""
    plain = Scraper("identity").scrape(keep=True)
    packed = Scraper("gzip").scrape(keep=True)
    for text in (plain, gzip.decompress(packed)):
        found = {dict(labels)["interface"] for _, labels in exporter.read(text.decode())}
        if len(found) != interfaces:
            raise SystemExit(f"{len(found)} interfaces instead of {interfaces}")
    print(f"{interfaces} interfaces: a page has {len(plain)} bytes in {plain.count(10)} lines, {len(packed)} compressed")


def run(process, encoding, scrapes, connections):
    """Prints what so many scrapes take, a tenth at a time."""
    scrapers = [Scraper(encoding) for _ in range(connections)]
    part = scrapes // 10 // connections
    for _ in range(10):
        start, processor = time.monotonic(), processor_time(process)
        threads = [threading.Thread(target=lambda one: [one.scrape() for _ in range(part)], args=(one,)) for one in scrapers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took, busy, done = time.monotonic() - start, processor_time(process) - processor, part * connections
        slowest = max(one.slowest for one in scrapers) * 1000
        print(f"{encoding:10}{done:8} scrapes {done / took:8.0f} a second {1e6 * busy / done:8.0f} us of a processor each "
              f"{slowest:8.0f} ms the slowest {memory(process):8} KiB resident", flush=True)


def main():
    interfaces, scrapes, connections = (int(word) for word in (sys.argv[1:] + ["1000", "100000", "4"][len(sys.argv) - 1:]))
    try:
        setup(interfaces)
        with exporter.running(namespace=NAMESPACE) as process:
            check(interfaces)
            run(process, "gzip", scrapes, connections)
            run(process, "identity", 100, connections)
    finally:
        program.mssbpf("detach", "--all", netns=NAMESPACE, timeout=TIMEOUT)
        net.delete_namespaces(NAMESPACE)


if __name__ == "__main__":
    main()
