# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The main job: a router with a real WireGuard tunnel, real connections through it, both families.

Crafted packets through the same tunnel are in test_offsets.py.
"""
import socket
import struct
import threading
import time

import pytest

import net
import packets
import program
from packets import ACK

FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
FULL = {4: 1460, 6: 1440}  # what a host on Ethernet announces
LOW = {4: 1380, 6: 1360}  # what fits a device of MTU 1420
families = pytest.mark.parametrize("family", (4, 6))
DOWNLOAD = 300_000  # bytes


class Handshake:
    """A connection through the tunnel, and what each host saw of the other's SYN and SYN-ACK."""

    def __init__(self, lab, family, opener="client", maxseg=None):
        client, server = lab.addresses[family]
        target, source = (server, client) if opener == "client" else (client, server)
        near, far = (lab.client, lab.server) if opener == "client" else (lab.server, lab.client)
        with net.Capture(far, "eth0") as at_far, net.Capture(near, "eth0") as at_near, \
                net.listener(far, FAMILY[family], target) as server:
            with net.entered(near):
                connection = socket.socket(FAMILY[family], socket.SOCK_STREAM)
            with connection:
                connection.settimeout(net.TIMEOUT)
                if maxseg:
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, maxseg)
                connection.bind((source, 0))
                connection.connect((target, server.getsockname()[1]))
                self.port = connection.getsockname()[1]
                accepted, _ = server.accept()
                accepted.sendall(b"hello")
                assert connection.recv(5) == b"hello"
                accepted.close()
            self.syn = self._seen(at_far, 0)
            self.syn_ack = self._seen(at_near, ACK)

    def _seen(self, capture, ack):
        def wanted(frame):
            segment = packets.dissect(frame.data)
            return (segment and segment.is_syn and segment.flags & ACK == ack and not frame.outgoing
                    and self.port in (segment.sport, segment.dport))

        frame, = capture.frames(1, wanted)
        segment = packets.dissect(frame.data)
        assert not frame.partial and segment.checksum_right, segment
        mss, = segment.mss
        return mss


@families
@pytest.mark.parametrize("opener", ("client", "server"))
def test_nothing_is_clamped_without(lab, family, opener):
    seen = Handshake(lab, family, opener)
    assert (seen.syn, seen.syn_ack) == (FULL[family], FULL[family])


@families
def test_syn_leaving(lab, family):
    program.attach(lab.router, "wg0", "--mtu", 1420)
    for _ in range(3):
        seen = Handshake(lab, family)
        assert (seen.syn, seen.syn_ack) == (LOW[family], FULL[family])
    assert program.counted(lab.router, "wg0") == {"syn": 3, "clamped": 3}
    entry = program.stats(lab.router, "wg0")[f"ipv{family}"]
    assert (entry["syn_only"], entry["syn_ack"], entry["clamped"]) == (3, 0, 3)


@families
def test_syn_ack_leaving(lab, family):
    program.attach(lab.router, "wg0", "--mtu", 1420)
    seen = Handshake(lab, family, "server")
    assert (seen.syn, seen.syn_ack) == (FULL[family], LOW[family])
    entry = program.stats(lab.router, "wg0")[f"ipv{family}"]
    assert (entry["syn_only"], entry["syn_ack"], entry["clamped"]) == (0, 1, 1)
    assert program.counted(lab.router, "wg0") == {"syn": 1, "clamped": 1}


@families
@pytest.mark.parametrize("opener", ("client", "server"))
@pytest.mark.parametrize("hook", (pytest.param("tcx", marks=pytest.mark.tcx), "clsact"))
def test_both_directions(lab, family, opener, hook):
    program.attach(lab.router, "wg0", "--mtu", 1420, "--direction", "both", "--hook", hook)
    seen = Handshake(lab, family, opener)
    assert (seen.syn, seen.syn_ack) == (LOW[family], LOW[family])
    for direction, kind in zip(("egress", "ingress"), ("syn_only", "syn_ack")[::1 if opener == "client" else -1]):
        assert program.counted(lab.router, "wg0", direction) == {"syn": 1, "clamped": 1}
        assert program.stats(lab.router, "wg0", direction)[f"ipv{family}"][kind] == 1


@families
def test_ingress_alone(lab, family):
    program.attach(lab.router, "wg0", "--mtu", 1420, "--direction", "ingress")
    seen = Handshake(lab, family)
    assert (seen.syn, seen.syn_ack) == (FULL[family], LOW[family])
    assert [key for key in program.show(lab.router) if key[0] != lab.kept] == [("wg0", "ingress")]


@families
def test_low_mss_stays(lab, family):
    program.attach(lab.router, "wg0", "--mtu", 1420, "--direction", "both")
    seen = Handshake(lab, family, maxseg=1200)
    assert seen.syn == 1200
    assert program.counted(lab.router, "wg0") == {"syn": 1, "already_low": 1}
    assert program.counted(lab.router, "wg0", "ingress") == {"syn": 1, "clamped": 1}


@families
def test_limits_of_the_device_without_mtu(lab, family):
    # wireguard-go's configuration socket is hidden in the lab: then its device is all there is to know.
    kernel = "wireguard" in net.ip("-n", lab.router, "-d", "link", "show", "wg0")
    source = "computed: ipv4/wireguard on wan (1500), wg0 has 1420" if kernel else "device"
    program.attach(lab.router, "wg0")
    assert Handshake(lab, family).syn == LOW[family]
    assert program.show(lab.router)["wg0", "egress"]["source"] == source


def test_limits_given_apart(lab):
    program.attach(lab.router, "wg0", "--mss4", 1301, "--mss6", 1299)
    assert Handshake(lab, 4).syn == 1301
    assert Handshake(lab, 6).syn == 1299


def test_the_far_end_clamps_as_well(lab):
    program.attach(lab.router, "wg0", "--mtu", 1420)
    program.attach(lab.far, "wg0", "--mtu", 1400)
    seen = Handshake(lab, 4)
    assert (seen.syn, seen.syn_ack) == (1380, 1360)


@families
def test_checksum_that_a_device_would_complete(lab, family):
    """A CHECKSUM_PARTIAL SYN forwarded from a device with offload to one without is completed after us."""
    ends = ((lab.client, "eth0"), (lab.router, "lan"))
    for end in ends:
        net.offloads(*end, "on")
    try:
        program.attach(lab.router, "wg0", "--mtu", 1420)
        with net.Capture(lab.router, "lan") as lan:
            assert Handshake(lab, family).syn == LOW[family]  # which checks the checksum, too
            frame, = lan.frames(1, lambda frame: not frame.outgoing and getattr(
                packets.dissect(frame.data), "is_syn", False))
            assert frame.partial  # or this test proves nothing
    finally:
        for end in ends:
            net.offloads(*end, "off")


TCP_MD5SIG = 14


def md5_key(peer):
    """struct tcp_md5sig of linux/tcp.h."""
    family = socket.AF_INET6 if ":" in peer else socket.AF_INET
    before = struct.pack("=HH", family, 0) + bytes(4 if ":" in peer else 0)
    address = (before + socket.inet_pton(family, peer)).ljust(128, b"\0")
    return address + struct.pack("=BBHi", 0, 0, 6, 0) + b"secret".ljust(80, b"\0")


@families
def test_connection_signed_by_tcp_md5(lab, family):
    """RFC 2385's digest leaves the options out: such a connection (BGP's) opens, and is clamped."""
    program.attach(lab.router, "wg0", "--mtu", 1420, "--direction", "both")
    near, far = lab.addresses[family]
    with net.entered(lab.client):
        client = socket.socket(FAMILY[family], socket.SOCK_STREAM)
    with client, net.listener(lab.server, FAMILY[family], far) as server:
        client.settimeout(net.TIMEOUT)
        try:
            client.setsockopt(socket.IPPROTO_TCP, TCP_MD5SIG, md5_key(far))
        except OSError as error:
            pytest.skip(f"this kernel has no TCP-MD5: {error}")
        server.setsockopt(socket.IPPROTO_TCP, TCP_MD5SIG, md5_key(near))
        client.connect((far, server.getsockname()[1]))
        accepted, _ = server.accept()
        with accepted:
            accepted.sendall(b"hello")
            assert client.recv(5) == b"hello"
    for direction in ("egress", "ingress"):
        assert program.counted(lab.router, "wg0", direction) == {"syn": 1, "clamped": 1}


def transfer(lab, family, sender, patience=2.0):
    """Opens a connection from the client and sends DOWNLOAD bytes over it; returns how many arrived."""
    address = lab.addresses[family][1]
    data = bytes(range(256)) * (DOWNLOAD // 256 + 1)
    data = data[:DOWNLOAD]
    with net.listener(lab.server, FAMILY[family], address) as server:
        near = net.connected(lab.client, FAMILY[family], address, server.getsockname()[1])
        far, _ = server.accept()
    with near, far:
        source, sink = (far, near) if sender == "server" else (near, far)
        source.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * DOWNLOAD)
        # Closing resets: nothing must go on being retransmitted into the next test.
        source.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        source.settimeout(patience)

        def send():
            try:
                source.sendall(data)
            except OSError:
                pass

        thread = threading.Thread(target=send)
        thread.start()
        arrived = b""
        deadline = time.monotonic() + patience
        sink.settimeout(0.1)
        while len(arrived) < DOWNLOAD and time.monotonic() < deadline:
            try:
                arrived += sink.recv(1 << 16)
            except socket.timeout:
                pass
        thread.join()
    assert data.startswith(arrived)
    return len(arrived)


@families
@pytest.mark.parametrize("sender", ("server", "client"))
def test_the_transfer_that_hangs_completes(lab, family, sender):
    assert transfer(lab, family, sender) < 1300  # not even one full segment
    program.attach(lab.router, "wg0", "--mtu", 1420, "--direction", "both")
    assert transfer(lab, family, sender, 2 * net.TIMEOUT) == DOWNLOAD
    program.detach(lab.router, "wg0")
    assert transfer(lab, family, sender) < 1300
