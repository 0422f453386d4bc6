# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Packets as kernels really hold them: unfinished checksums, headers outside the linear part, VLAN tags
inside and beside the packet.

What the packet says is the subject of the tests of level prog; here it is how it is stored.
"""
import socket
import threading
import time

import pytest

import bpf
import net
import packets
import program
import txring
from packets import ETH_P_8021AD, ETH_P_8021Q

FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
FULL = {4: 1460, 6: 1440}
LOW = {4: 1360, 6: 1340}  # of MTU 1400
families = pytest.mark.parametrize("family", (4, 6))
hooks = pytest.mark.parametrize("hook", (pytest.param("tcx", marks=pytest.mark.tcx), "clsact"))
TAGS = {"untagged": [], "802.1Q": [(ETH_P_8021Q, 100)], "802.1ad": [(ETH_P_8021AD, 200)],
        "QinQ": [(ETH_P_8021AD, 200), (ETH_P_8021Q, 0x6064)], "double 802.1Q": [(ETH_P_8021Q, 7), (ETH_P_8021Q, 8)]}
tagged = pytest.mark.parametrize("tags", TAGS.values(), ids=TAGS)


def is_syn(frame):
    segment = packets.dissect(frame.data)
    return bool(segment) and segment.is_syn


def pseudo_sum(segment):
    """What the checksum field of a CHECKSUM_PARTIAL segment holds: the pseudo header's sum."""
    length = len(segment.packet) - (20 if segment.family == 4 else 40)
    return ~packets.checksum(segment.family, segment.source, segment.destination, b"\0" * length) & 0xFFFF


@pytest.mark.vm
@families
@hooks
@pytest.mark.parametrize("offload", ("on", "off"))
def test_syn_of_a_local_socket(pair, family, hook, offload):
    """Both handshake packets are CHECKSUM_PARTIAL when they pass TC; the device completes them, or its peer
    gets them as they are."""
    for end in ((pair.a, "v0"), (pair.b, "v1")):
        net.offloads(*end, offload)
    program.attach(pair.a, "v0", "--mtu", 1400, "--direction", "both", "--hook", hook)
    source, target = pair.addresses[family]
    with net.Capture(pair.b, "v1") as capture, net.listener(pair.b, FAMILY[family], target) as server:
        with net.connected(pair.a, FAMILY[family], target, server.getsockname()[1]) as client:
            accepted, peer = server.accept()
            assert peer[0] == source
            with accepted:
                accepted.sendall(b"x" * 5000)
                assert client.recv(5000, socket.MSG_WAITALL) == b"x" * 5000
                client.sendall(b"y" * 5000)
                assert accepted.recv(5000, socket.MSG_WAITALL) == b"y" * 5000
                # What each may send is what the other's announcement says; timestamps take 12.
                for end in (client, accepted):
                    assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) == LOW[family] - 12
        frame, = capture.frames(1, lambda frame: is_syn(frame) and not frame.outgoing)
    segment = packets.dissect(frame.data)
    assert segment.mss == [LOW[family]]
    assert frame.partial == (offload == "on")
    assert segment.checksum == pseudo_sum(segment) if frame.partial else segment.checksum_right, segment
    for direction in ("egress", "ingress"):
        assert program.counted(pair.a, "v0", direction) == {"syn": 1, "clamped": 1}


def crafted(pair, family, options, tags=(), extensions=()):
    """A frame from v0 to nobody's address: no host answers, and a bridge floods it."""
    source, target = pair.addresses[family]
    segment = packets.with_checksum(family, source, target, packets.tcp(options))
    packet = packets.ip_packet(family, source, target, segment, extensions)
    return packets.frame(b"\x02\0\0\0\0\x99", net.mac(pair.a, "v0"), family, packet, tags)


class Behind:
    """Sees what v0 sent after all hooks: a bridge on host b forwards from v1 to w1, which leads back to w0.

    A capture on v1 itself would come before TC ingress.
    """

    def __init__(self, pair):
        pair.join("w0", "w1")
        net.ip("-n", pair.b, "link", "add", "br0", "type", "bridge")
        for port in ("v1", "w1"):
            net.ip("-n", pair.b, "link", "set", port, "master", "br0")
        net.ip("-n", pair.b, "link", "set", "br0", "up")
        self._await_forwarding(pair)
        self.capture = net.Capture(pair.a, "w0")

    @staticmethod
    def _await_forwarding(pair):
        """A port forwards once the kernel noticed its carrier, which linkwatch does once a second at most."""
        deadline = time.monotonic() + net.TIMEOUT
        while net.ip("-n", pair.b, "-d", "-o", "link", "show", "master", "br0").count("state forwarding") < 2:
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.capture.socket.close()

    def deliver(self, sender, frame):
        """Sends a frame; returns the segment that arrives, all its tags in place."""
        sender.send(frame)
        captured, = self.capture.frames(1, lambda frame: not frame.outgoing and is_syn(frame))
        segment = packets.dissect(captured.data)
        if captured.vlan:
            segment.tags.insert(0, captured.vlan[::-1])
        return segment


EXTENSIONS = {"plain": [], "632 bytes": [(packets.HOP_BY_HOP, 8), (packets.DESTINATION, 624)],
              "one of 1200": [(packets.DESTINATION, 1200)],
              "four": [(packets.HOP_BY_HOP, 296), (packets.ROUTING, 24), (packets.FRAGMENT, 8),
                       (packets.DESTINATION, 312)]}
layouts = pytest.mark.parametrize("family,extensions", (
    pytest.param(4, [], id="IPv4"),
    *(pytest.param(6, headers, id=f"IPv6 {name}") for name, headers in EXTENSIONS.items())))


def end_of(pair, direction):
    return (pair.a, "v0") if direction == "egress" else (pair.b, "v1")


@layouts
@tagged
@pytest.mark.parametrize("direction", ("egress", "ingress"))
def test_the_ring_makes_headers_nonlinear(pair, family, extensions, tags, direction):
    """What the next test stands on: with PACKET_TX_RING, no IP header is in the linear part."""
    frame = crafted(pair, family, packets.options_at(3, FULL[family]), tags, extensions)
    length = len(frame) - (4 if tags and direction == "ingress" else 0)  # the outer tag is in the metadata
    namespace, device = end_of(pair, direction)
    net.must("tc", "-n", namespace, "qdisc", "add", "dev", device, "clsact")
    probe = bpf.LinearProbe()
    probe.attach_filter(namespace, device, direction, "/sys/fs/bpf/mssbpf-e2e-probe")
    with Behind(pair) as behind, txring.RingSender(pair.a, "v0") as ring, net.Sender(pair.a, "v0") as plain:
        behind.deliver(ring, frame)
        assert 14 <= probe.linear(length) <= 14 + 4 * len(tags)
        behind.deliver(plain, frame)
        assert probe.linear(length) == length
    probe.close()


@layouts
@tagged
@pytest.mark.parametrize("direction", ("egress", "ingress"))
def test_headers_outside_the_linear_part(pair, family, extensions, tags, direction):
    where = end_of(pair, direction)
    program.attach(*where, "--mtu", 1400, "--direction", direction)
    with Behind(pair) as behind, txring.RingSender(pair.a, "v0") as ring:
        for offset in (0, 3, 36):
            frame = crafted(pair, family, packets.options_at(offset, FULL[family]), tags, extensions)
            segment = behind.deliver(ring, frame)
            assert segment.options == packets.options_at(offset, LOW[family])
            assert segment.checksum_right, segment
            assert segment.tags == tags
            sent = packets.dissect(frame)  # nothing but value and checksum differs
            assert len(segment.packet) == len(sent.packet)
            assert sum(x != y for x, y in zip(segment.packet, sent.packet)) <= 4
    assert program.counted(*where, direction) == {"syn": 3, "clamped": 3}


@families
@tagged
@pytest.mark.parametrize("where", ("v0 egress", pytest.param("v1 ingress", marks=pytest.mark.vm), "w1 egress"))
def test_vlan_tags(pair, family, tags, where):
    """On egress of v0 all tags are in the packet. On ingress of v1 and, forwarded, on egress of w1, the outer
    one is in the skb's metadata (hardware-accelerated)."""
    device, direction = where.split()
    namespace = pair.a if device == "v0" else pair.b
    with Behind(pair) as behind, net.Sender(pair.a, "v0") as sender:
        program.attach(namespace, device, "--mtu", 1400, "--direction", direction)
        for offset in (0, 1):
            frame = crafted(pair, family, packets.options_at(offset, FULL[family]), tags)
            segment = behind.deliver(sender, frame)
            assert segment.options == packets.options_at(offset, LOW[family])
            assert segment.checksum_right, segment
            assert segment.tags == tags
        assert program.counted(namespace, device, direction) == {"syn": 2, "clamped": 2}


def make_vlans(pair):
    """VLAN 5 and, inside 802.1ad 6, VLAN 7 on both hosts; skips where the kernel has none."""
    for host, (namespace, device) in enumerate(((pair.a, "v0"), (pair.b, "v1")), 1):
        result = net.run("ip", "-n", namespace, "link", "add", "link", device, "name", "q", "type", "vlan", "id", "5")
        if "Unknown device type" in result.stderr:
            pytest.skip("this kernel has no VLAN devices")
        assert result.status == 0, result
        net.ip("-n", namespace, "link", "add", "link", device, "name", "outer", "type", "vlan", "proto", "802.1ad",
               "id", "6")
        net.ip("-n", namespace, "link", "add", "link", "outer", "name", "qq", "type", "vlan", "id", "7")
        for name in ("q", "outer", "qq"):
            net.ip("-n", namespace, "link", "set", name, "up")
        for number, name in enumerate(("q", "qq"), 5):
            net.ip("-n", namespace, "address", "add", f"10.0.{number}.{host}/24", "dev", name)
            net.ip("-n", namespace, "address", "add", f"2001:db8:{number}::{host}/64", "dev", name, "nodad")


@pytest.mark.vm
@families
@pytest.mark.parametrize("offload", ("on", "off"))
def test_vlan_devices(pair, family, offload):
    """Connections over VLAN devices, clamped on the port that carries them."""
    make_vlans(pair)
    for end in ((pair.a, "v0"), (pair.b, "v1")):
        net.offloads(*end, offload)
    program.attach(pair.a, "v0", "--mtu", 1400, "--direction", "both")
    for vlan in (5, 6):
        target = f"10.0.{vlan}.2" if family == 4 else f"2001:db8:{vlan}::2"
        with net.listener(pair.b, FAMILY[family], target) as server, \
                net.connected(pair.a, FAMILY[family], target, server.getsockname()[1]) as client:
            accepted, _ = server.accept()
            with accepted:
                for end in (client, accepted):
                    assert end.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) == LOW[family] - 12
    for direction in ("egress", "ingress"):
        assert program.counted(pair.a, "v0", direction) == {"syn": 2, "clamped": 2}


@families
def test_limits_change_while_syns_flow(pair, family):
    """Every SYN has the old limit or the new one: none passes unclamped, none with half a change."""
    high, low = FULL[family] - 60, FULL[family] - 260
    changes = 300
    program.attach(pair.a, "v0", "--mtu", 1440)
    frame = crafted(pair, family, packets.options_at(1, FULL[family]))
    stop, sent = threading.Event(), 0
    values = {}

    def watch(capture):
        while True:
            last = stop.is_set()
            found = capture.frames(1, lambda frame: not frame.outgoing and is_syn(frame), 0.5)
            if not found and last:
                return
            if not found:
                continue
            segment = packets.dissect(found[0].data)
            key = (tuple(segment.mss), segment.checksum_right)
            values[key] = values.get(key, 0) + 1

    def flow(sender):
        nonlocal sent
        while not stop.is_set():
            sender.send(frame)
            sent += 1
            stop.wait(0.0005 * net.PATIENCE ** 2)  # or the capture, as slow, loses some

    with net.Capture(pair.b, "v1") as capture, net.Sender(pair.a, "v0") as sender:
        threads = [threading.Thread(target=flow, args=(sender,)), threading.Thread(target=watch, args=(capture,))]
        for thread in threads:
            thread.start()
        try:
            for number in range(changes):
                mss = high if number % 2 else low
                program.attach(pair.a, "v0", "--mss4", mss, "--mss6", mss)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    assert set(values) == {((high,), True), ((low,), True)}, values
    assert sum(values.values()) == sent
    assert program.counted(pair.a, "v0") == {"syn": sent, "clamped": sent}
