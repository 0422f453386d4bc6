# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""SYNs without an MSS option, on their way through real devices, with --add-missing.

Which SYNs get one is the subject of level prog; here it is that the packet stays right wherever it goes.
"""
import socket
import struct

import pytest

import net
import packets
import program
from test_skb import Behind, families, pseudo_sum, tagged

SOL_PACKET, PACKET_VNET_HDR = 263, 15
DEFAULT = {4: 536, 6: 1220}
LIMIT = {4: 1360, 6: 1340}  # of MTU 1400
OTHERS = b"\x04\x02\x01\x01"  # SACK permitted
hooks = pytest.mark.parametrize("hook", (pytest.param("tcx", marks=pytest.mark.tcx), "clsact", "native", "generic"))


def attach(pair, hook, *options):
    """At v1, where packets from v0 arrive."""
    words = ("--hook", "xdp", "--xdp-mode", hook) if hook in ("native", "generic") else ("--hook", hook)
    program.attach(pair.b, "v1", "--direction", "ingress", "--mtu", 1400, *words, *options)


def crafted(pair, family, options, payload=b"", tags=(), padding=b""):
    source, target = pair.addresses[family]
    segment = packets.with_checksum(family, source, target, packets.tcp(options, payload=payload))
    packet = packets.ip_packet(family, source, target, segment)
    return packets.frame(b"\x02\0\0\0\0\x99", net.mac(pair.a, "v0"), family, packet, tags) + padding


def check_added(segment, sent, mss):
    """An option in front, lengths that fit, checksums right, nothing else changed."""
    assert segment.options == packets.mss_option(mss) + sent.options
    assert segment.checksum_right, segment
    assert len(segment.packet) == len(sent.packet) + 4
    if segment.family == 4:
        words = struct.unpack("!10H", segment.packet[:20])
        assert sum(words) % 0xFFFF == 0
        assert segment.packet[4:10] + segment.packet[12:20] == sent.packet[4:10] + sent.packet[12:20]
    else:
        assert segment.packet[:4] + segment.packet[6:40] == sent.packet[:4] + sent.packet[6:40]


@hooks
@families
@tagged
def test_added(pair, hook, family, tags):
    """With and without padding behind the packet, as short frames have it on a wire. At XDP, a frame grows only if
    its buffer has room, and what veth hands over has often none."""
    left = 0
    with Behind(pair) as behind, net.Sender(pair.a, "v0") as sender:
        for options, mss in ((("--add-missing",), DEFAULT[family]), (("--add-missing=limit",), LIMIT[family])):
            attach(pair, hook, *options)
            for others in (b"", OTHERS, OTHERS * 9):
                for padding in (b"", b"\0" * 3, b"padding"):
                    frame = crafted(pair, family, others, tags=tags, padding=padding)
                    segment = behind.deliver(sender, frame)
                    if hook in ("native", "generic") and len(padding) < 4 and segment.options == others:
                        assert segment.packet == packets.dissect(frame).packet
                        left += 1
                    else:
                        check_added(segment, packets.dissect(frame), mss)
                    assert segment.tags == tags
    assert left < 12
    assert program.counted(pair.b, "v1", "ingress") == {
        "syn": 18, "added": 18 - left, **({"no_mss": left} if left else {})}


@hooks
@families
def test_left_alone(pair, hook, family):
    """With payload, without room, with one, in a dry run: as it was."""
    cases = (("no_mss", OTHERS, b"data in the SYN", ()), ("no_mss", OTHERS * 10, b"", ()),
             ("already_low", packets.mss_option(500), b"", ()), ("added", b"", b"", ("--dry-run",)))
    expected = {"syn": 0}
    with Behind(pair) as behind, net.Sender(pair.a, "v0") as sender:
        for counter, options, payload, words in cases:
            attach(pair, hook, "--add-missing", *words)
            frame = crafted(pair, family, options, payload)
            segment = behind.deliver(sender, frame)
            assert segment.packet == packets.dissect(frame).packet
            expected["syn"] += 1
            expected[counter] = expected.get(counter, 0) + 1
            assert program.counted(pair.b, "v1", "ingress") == expected


@hooks
@families
def test_unfinished_checksum(pair, hook, family):
    """A SYN whose checksum the kernel has still to finish when it gets the option; w1, without offload, does."""
    net.offloads(pair.a, "v0", "on")
    frame = crafted(pair, family, OTHERS)
    sent = packets.dissect(frame)
    start = len(frame) - len(sent.packet) + (20 if family == 4 else 40)
    partial = frame[:start + 16] + struct.pack("!H", pseudo_sum(sent)) + frame[start + 18:]
    with net.entered(pair.a):
        sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sender.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    sender.bind(("v0", 0))
    attach(pair, hook, "--add-missing")
    with Behind(pair) as behind, sender:
        # struct virtio_net_hdr: VIRTIO_NET_HDR_F_NEEDS_CSUM, no GSO, where the checksum starts, where it goes
        sender.send(struct.pack("=BBHHHH", 1, 0, 0, 0, start, 16) + partial)
        captured, = behind.capture.frames(1, lambda frame: not frame.outgoing and frame.data[12:14] in
                                          (b"\x08\x00", b"\x86\xdd") and packets.dissect(frame.data))
    assert not captured.partial
    check_added(packets.dissect(captured.data), sent, DEFAULT[family])
    assert program.counted(pair.b, "v1", "ingress") == {"syn": 1, "added": 1}


@families
def test_egress_and_the_receiver(pair, family):
    """Added as it leaves: the stack that gets it takes it for the sender's announcement."""
    program.attach(pair.a, "v0", "--mtu", 1400, "--add-missing=limit")
    source, target = pair.addresses[family]
    with net.listener(pair.b, {4: socket.AF_INET, 6: socket.AF_INET6}[family], target) as server, \
            net.Sender(pair.a, "v0") as sender, net.Capture(pair.b, "v1") as capture:
        port = server.getsockname()[1]
        segment = packets.with_checksum(family, source, target, packets.tcp(dport=port))
        sender.send(packets.frame(net.mac(pair.b, "v1"), net.mac(pair.a, "v0"), family,
                                  packets.ip_packet(family, source, target, segment)))
        syn, answer = capture.frames(2, lambda frame: (found := packets.dissect(frame.data)) and found.is_syn)
        assert packets.dissect(syn.data).mss == [LIMIT[family]]
        assert packets.dissect(syn.data).checksum_right
        # Only a SYN that is right is answered.
        assert answer.outgoing and packets.dissect(answer.data).sport == port
    assert program.counted(pair.a, "v0") == {"syn": 1, "added": 1}


def test_show(pair):
    for options, name, mode in (((), "off", "clamp "), (("--add-missing",), "default", "clamp+add"),
                                (("--add-missing=default", "--dry-run"), "default", "dry-run+add"),
                                (("--add-missing=limit",), "limit", "clamp+add")):
        program.attach(pair.a, "v0", *options)
        assert program.show(pair.a)["v0", "egress"]["add_missing"] == name
        assert mode in program.mssbpf("show", netns=pair.a).stdout
    program.refused(program.mssbpf("attach", "v0", "--add-missing=536", netns=pair.a), 2,
                    "--add-missing '536': not one of default|limit")
