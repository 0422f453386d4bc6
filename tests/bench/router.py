# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Routers, each in a namespace between two others, through which generated packets are sent. Knows nothing of who
clamps: that is candidates.py.

    source            router              sink
    [generator] a0 -> r0, forwarded, r1 -> s1 [counts, drops]
"""
import os

import bpf
import net
import packets

BPFFS = "/sys/fs/bpf"
IN, OUT = "r0", "r1"  # the router's devices
SOURCE_NUMBER = 100  # of a0, in all namespaces
MTU = 1400  # of OUT, in place of a tunnel
MACS = {name: bytes.fromhex(f"0200000000{number:02x}") for number, name in enumerate(("a0", IN, OUT, "s1"), 1)}
NETWORK = {4: "10.0.{0}.{1}", 6: "fd00:{0}::{1}"}
PREFIX = {4: 24, 6: 64}
HEADERS = {4: 20 + 20, 6: 40 + 20}
ETHERNET = 14
MSS_OFFSET = {family: ETHERNET + HEADERS[family] + 2 for family in (4, 6)}  # of the first option's value


class Kind:
    """Packets all alike."""

    def __init__(self, name, family, flags, mss=None, length=64):
        """mss: what a SYN announces, as its first option; length: at least so many bytes of frame."""
        self.name, self.family = name, family
        self.before = mss or 0x1234  # the two bytes where a SYN has its MSS
        self.after = min(self.before, MTU - HEADERS[family]) if mss else self.before
        rest = bytes.fromhex("0402080a123456780000000001030307")  # SACK, timestamps, NOP, window scale
        options = packets.mss_option(mss) + rest if mss else b""
        payload = b"" if mss else (b"\0\0\x12\x34").ljust(length - ETHERNET - HEADERS[family], b"\0")
        source, destination = (NETWORK[family].format(number, 2) for number in (0, 1))
        segment = packets.with_checksum(family, source, destination,
                                        packets.tcp(options, flags=flags, payload=payload))
        packet = packets.ip_packet(family, source, destination, segment)
        self.frame = packets.frame(MACS[IN], MACS["a0"], family, packet)


KINDS = (
    Kind("IPv4, no SYN, 64 bytes", 4, packets.ACK),
    Kind("IPv4, no SYN, full", 4, packets.ACK, length=ETHERNET + MTU),
    Kind("IPv6, no SYN, 78 bytes", 6, packets.ACK, length=78),
    Kind("IPv4, SYN already low", 4, packets.SYN, mss=1300),
    Kind("IPv4, SYN clamped", 4, packets.SYN, mss=1460),
    Kind("IPv6, SYN clamped", 6, packets.SYN, mss=1440),
)


def _write(namespace, path, value):
    """Sets one of the namespace's sysctls; those of net are seen by who is in it."""
    with net.entered(namespace), open(f"/proc/sys/net/{path}", "w", encoding="ascii") as file:
        file.write(str(value))


class Generators:
    """What makes packets, for each kind."""

    NAMESPACE = "mssbpf-bench-idle"

    def __enter__(self):
        self.programs = {kind: bpf.Generator(kind.frame, SOURCE_NUMBER) for kind in KINDS}
        # A test run of an XDP program that is attached nowhere makes the kernel patch its code, before and after, and
        # wait for all processors: so they are attached somewhere.
        net.make_namespaces(self.NAMESPACE)
        for number, generator in enumerate(self.programs.values()):
            net.ip("-n", self.NAMESPACE, "link", "add", f"x{number}", "type", "veth")
            generator.attach_xdp(self.NAMESPACE, f"x{number}")
        return self.programs

    def __exit__(self, *_):
        for generator in self.programs.values():
            generator.close()
        net.delete_namespaces(self.NAMESPACE)


class Router:
    """Three namespaces, and what counts."""

    def __init__(self, number):
        """number: for the names of its namespaces."""
        self.source, self.router, self.sink = (f"mssbpf-bench-{name}{number}" for name in ("source", "router", "sink"))
        self.counter = bpf.Sink(MSS_OFFSET[4], MSS_OFFSET[6])

    def __enter__(self):
        try:
            self._make()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        net.delete_namespaces(self.source, self.router, self.sink)
        self.counter.close()

    def _make(self):
        if not os.path.ismount(BPFFS):  # mssbpf does likewise
            net.must("mount", "-t", "bpf", "bpf", BPFFS)
        net.make_namespaces(self.source, self.router, self.sink)
        for namespace in (self.source, self.sink):  # they have nothing of their own to say
            _write(namespace, "ipv6/conf/default/disable_ipv6", 1)
        for path, value in (("ipv4/ip_forward", 1), ("ipv6/conf/all/forwarding", 1), ("ipv6/conf/default/accept_dad", 0)):
            _write(self.router, path, value)
        mac = {name: address.hex(":") for name, address in MACS.items()}
        lines = [f"link add a0 index {SOURCE_NUMBER} address {mac['a0']} type veth peer {IN} address {mac[IN]} "
                 f"netns {self.router}", "link set a0 up"]
        net.must("ip", "-n", self.source, "-batch", "-", stdin="\n".join(lines))
        lines = [f"link add {OUT} address {mac[OUT]} mtu {MTU} type veth peer s1 address {mac['s1']} netns {self.sink}",
                 f"link set {IN} up", f"link set {OUT} up"]
        for family, form in NETWORK.items():
            lines += [f"address add {form.format(number, 1)}/{PREFIX[family]} dev {device}"
                      for number, device in enumerate((IN, OUT))]
            lines.append(f"neigh add {form.format(1, 2)} lladdr {mac['s1']} dev {OUT}")
        net.must("ip", "-n", self.router, "-batch", "-", stdin="\n".join(lines))
        net.ip("-n", self.sink, "link", "set", "s1", "up")
        # A veth takes frames of XDP when it polls, which this turns on.
        net.must("ip", "netns", "exec", self.router, "ethtool", "-K", IN, "gro", "on")
        net.must("tc", "-n", self.sink, "qdisc", "add", "dev", "s1", "clsact")
        self.counter.attach_filter(self.sink, "s1", "ingress", f"{BPFFS}/mssbpf-bench-sink")

    def send(self, generator, kind, count, clamping):
        """Sends packets of a kind through the router; returns how long a packet took, whole nanoseconds. Raises
        RuntimeError unless all came through, clamped or not."""
        packets_before, sum_before = self.counter.packets, self.counter.sum
        took = generator.send(self.source, count)
        arrived, total = self.counter.packets - packets_before, self.counter.sum - sum_before
        expected = kind.after if clamping else kind.before
        if (arrived, total) != (count, count * expected):
            raise RuntimeError(f"{kind.name}: {arrived} of {count} packets came through, "
                               f"with {total / max(arrived, 1):.2f} on an average where {expected} belongs")
        return took
