# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Crafted SYNs through the router: the MSS option at each of its 37 offsets, value and checksum behind it.

Verified by scapy's checksum and by tcpdump's. The option walk itself is the unit tests' subject.
"""
import pytest

import net
import packets
import program

OFFSETS = range(37)
FULL = {4: 1460, 6: 1440}
LOW = {4: 1380, 6: 1360}
families = pytest.mark.parametrize("family", (4, 6))


def cross(lab, family, option_lists, start="client", flags=packets.SYN):
    """Sends one SYN for each option list from one end; returns {number: segment} as the other end sees it."""
    client, server = lab.addresses[family]
    near, far, gateway = (lab.client, lab.server, (lab.router, "lan"))
    if start == "server":
        near, far, gateway = lab.server, lab.client, (lab.far, "lan")
        client, server = server, client
    addresses = net.mac(*gateway), net.mac(near, "eth0")
    base = 20000
    seen = {}

    def wanted(frame):
        segment = packets.dissect(frame.data)
        if not segment or not segment.is_syn or frame.outgoing or segment.source != client:
            return False
        assert not frame.partial
        return seen.setdefault(segment.sport - base, segment) is segment

    with net.Capture(far, "eth0") as capture, net.Sender(near, "eth0") as sender:
        for number, options in enumerate(option_lists):
            segment = packets.with_checksum(family, client, server, packets.tcp(
                options, sport=base + number, dport=9, flags=flags))
            sender.send(packets.frame(*addresses, family, packets.ip_packet(family, client, server, segment)))
        capture.frames(len(option_lists), wanted)
    assert len(seen) == len(option_lists)
    return seen


def tcpdump_says_correct(tmp_path, segments):
    """Each segment's checksum in tcpdump's view."""
    path = tmp_path / "syns.pcap"
    packets.write_pcap(path, [segment.packet for segment in segments])
    text = net.must("tcpdump", "-nvvr", str(path))
    assert "incorrect" not in text, text
    assert text.count("(correct)") == len(segments), text


@pytest.mark.vm
@families
@pytest.mark.parametrize("start", ("client", "server"))
@pytest.mark.parametrize("flags", (packets.SYN, packets.SYN | packets.ACK), ids=("syn", "syn-ack"))
def test_every_offset(lab, tmp_path, family, start, flags):
    program.attach(lab.router, "wg0", "--mtu", 1420, "--direction", "both")
    seen = cross(lab, family, [packets.options_at(offset, FULL[family]) for offset in OFFSETS], start, flags)
    for offset in OFFSETS:
        assert seen[offset].options == packets.options_at(offset, LOW[family]), offset
        assert seen[offset].checksum_right, (offset, seen[offset])
    tcpdump_says_correct(tmp_path, seen.values())
    direction = "egress" if start == "client" else "ingress"
    assert program.counted(lab.router, "wg0", direction) == {"syn": len(OFFSETS), "clamped": len(OFFSETS)}


@families
def test_every_offset_untouched_without(lab, tmp_path, family):
    """The same packets without the program: the checks above do not pass on their own."""
    seen = cross(lab, family, [packets.options_at(offset, FULL[family]) for offset in OFFSETS])
    for offset in OFFSETS:
        assert seen[offset].options == packets.options_at(offset, FULL[family])
    tcpdump_says_correct(tmp_path, seen.values())


@families
def test_values_around_the_limit_at_both_alignments(lab, family):
    values = (1, 255, 256, LOW[family] - 1, LOW[family], LOW[family] + 1, 0x7FFF, 0x8000, 0xFF00, 0xFFFF)
    options = [packets.NOP * shift + packets.mss_option(value) for value in values for shift in (0, 1)]
    program.attach(lab.router, "wg0", "--mtu", 1420)
    seen = cross(lab, family, options)
    for number, segment in seen.items():
        assert segment.mss == [min(values[number // 2], LOW[family])]
        assert segment.checksum_right, segment
    above = sum(value > LOW[family] for value in values) * 2
    assert program.counted(lab.router, "wg0") == {
        "syn": len(options), "clamped": above, "already_low": len(options) - above}


@families
def test_option_lists_of_real_systems(lab, tmp_path, family):
    """Linux, Windows, macOS, and both copies of an option that stands twice, one at an odd offset."""
    mss, low = packets.mss_option(FULL[family]), packets.mss_option(LOW[family])
    timestamp = b"\x08\x0a" + bytes(range(8))
    lists = [(b"%b\x04\x02" + timestamp + b"\x01\x03\x03\x07"), (b"%b\x01\x03\x03\x08\x01\x01\x04\x02"),
             (b"%b\x01\x03\x03\x06\x01\x01" + timestamp + b"\x04\x02\x00\x00"),
             b"\x03\x03\x07%b\x01", b"%b\x01%b\x00\x00\x00", b"\x01%b%b\x00"]
    program.attach(lab.router, "wg0", "--mtu", 1420)
    seen = cross(lab, family, [text.replace(b"%b", mss) for text in lists])
    for number, text in enumerate(lists):
        expected = text.replace(b"%b", low)
        assert seen[number].options == expected + b"\0" * (-len(expected) % 4)
        assert seen[number].checksum_right, seen[number]
    tcpdump_says_correct(tmp_path, seen.values())
