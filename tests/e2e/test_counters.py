# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What is counted, packet by packet, what stays as it was, and how `stats` and `show` print it."""
import re
import struct

import pytest

import net
import packets
import program
from packets import ACK, RST, SYN

families = pytest.mark.parametrize("family", (4, 6))
MSS = packets.mss_option(1460)
AO = b"\x1d\x10" + bytes(14)  # TCP-AO, RFC 5925
MD5 = b"\x13\x12" + bytes(16)  # TCP-MD5, RFC 2385
TIMESTAMP = b"\x08\x0a" + bytes(8)


def cut(segment, length):
    return segment[:length]


def claim(segment, words):
    """The segment with another data offset."""
    return segment[:12] + bytes([words << 4]) + segment[13:]


# name: (segment, extension headers, what is counted, whether the MSS is lowered)
ROWS = {
    "clamped": (packets.tcp(MSS), [], {"syn": 1, "clamped": 1}, True),
    "clamped at an odd offset": (packets.tcp(b"\x01" + MSS), [], {"syn": 1, "clamped": 1}, True),
    "clamped in a SYN-ACK": (packets.tcp(MSS, flags=SYN | ACK), [], {"syn": 1, "clamped": 1}, True),
    "clamped with data": (packets.tcp(MSS, payload=b"fast open"), [], {"syn": 1, "clamped": 1}, True),
    "clamped beside TCP-MD5": (packets.tcp(MSS + MD5), [], {"syn": 1, "clamped": 1}, True),
    "already low": (packets.tcp(packets.mss_option(1000)), [], {"syn": 1, "already_low": 1}, False),
    "no options": (packets.tcp(), [], {"syn": 1, "no_mss": 1}, False),
    "no MSS option": (packets.tcp(TIMESTAMP), [], {"syn": 1, "no_mss": 1}, False),
    "MSS behind the end of the list": (packets.tcp(b"\0\0\0\0" + MSS), [], {"syn": 1, "no_mss": 1}, False),
    "option of length 0": (packets.tcp(b"\x08\0\x01\x01" + MSS), [], {"syn": 1, "malformed": 1}, False),
    "option beyond the header": (packets.tcp(MSS + b"\x08\x0a\0\0"), [], {"syn": 1, "malformed": 1}, False),
    "MSS of length 3": (packets.tcp(b"\x02\x03\x05\x01"), [], {"syn": 1, "malformed": 1}, False),
    "header of 16 bytes": (claim(packets.tcp(MSS), 4), [], {"syn": 1, "malformed": 1}, False),
    "options cut off": (cut(packets.tcp(MSS + TIMESTAMP), 30), [], {"syn": 1, "truncated": 1}, False),
    "flags cut off": (cut(packets.tcp(MSS), 8), [], {"unreadable": 1, "truncated": 1}, False),
    "behind AH": (packets.tcp(MSS), [(packets.AUTH, 24)], {"syn": 1, "ah": 1}, False),
    "with TCP-AO": (packets.tcp(MSS + AO), [], {"syn": 1, "tcp_ao": 1}, False),
    "no SYN": (packets.tcp(MSS, flags=ACK), [], {}, False),
    "SYN and RST": (packets.tcp(MSS, flags=SYN | RST), [], {}, False),
}


def send(pair, packet, family):
    """Sends a packet from v0; returns it as the capture at v1 sees it."""
    frame = packets.frame(b"\x02\0\0\0\0\x99", net.mac(pair.a, "v0"), family, packet)
    with net.Capture(pair.b, "v1") as capture, net.Sender(pair.a, "v0") as sender:
        sender.send(frame)
        captured, = capture.frames(1, lambda seen: seen.data[:12] == frame[:12])
    return captured.data[14:]


@families
@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_row(pair, family, row):
    segment, extensions, expected, lowered = row
    source, target = pair.addresses[family]
    if len(segment) >= 20:
        segment = packets.with_checksum(family, source, target, segment)
    packet = packets.ip_packet(family, source, target, segment, extensions)
    program.attach(pair.a, "v0", "--mtu", 1400)
    seen = send(pair, packet, family)
    assert program.counted(pair.a, "v0") == expected
    if not lowered:
        assert seen == packet
        return
    clamped = packets.dissect(seen, ethernet=False)
    assert clamped.mss == [1400 - (40 if family == 4 else 60)]
    assert clamped.checksum_right
    assert len(seen) == len(packet)
    entry = program.stats(pair.a, "v0")
    assert entry[f"ipv{family}"]["syn_ack"] == bool(clamped.flags & ACK)


@families
def test_later_fragments_are_passed_by(pair, family):
    """What looks like a SYN in a later fragment is data."""
    source, target = pair.addresses[family]
    segment = packets.tcp(MSS)
    packet = packets.ip_packet(family, source, target, segment, [(packets.FRAGMENT, 8)] if family == 6 else [])
    if family == 4:
        packet = packet[:6] + struct.pack("!H", 8) + packet[8:]
    else:
        packet = packet[:42] + struct.pack("!H", 8 << 3) + packet[44:]
    program.attach(pair.a, "v0", "--mtu", 1400)
    assert send(pair, packet, family) == packet
    assert program.counted(pair.a, "v0") == {}


@families
def test_dry_run_counts_and_changes_nothing(pair, family):
    source, target = pair.addresses[family]
    packet = packets.ip_packet(family, source, target, packets.with_checksum(family, source, target, packets.tcp(MSS)))
    program.attach(pair.a, "v0", "--mtu", 1400, "--dry-run")
    assert program.show(pair.a)["v0", "egress"]["mode"] == "dry-run"
    assert send(pair, packet, family) == packet
    assert program.counted(pair.a, "v0") == {"syn": 1, "clamped": 1}
    program.attach(pair.a, "v0", "--mtu", 1400)
    assert program.show(pair.a)["v0", "egress"]["mode"] == "clamp"
    assert send(pair, packet, family) != packet
    assert program.counted(pair.a, "v0") == {"syn": 2, "clamped": 2}


def test_only_the_attached_interface(pair):
    """SYNs over a device beside it are neither counted nor changed."""
    pair.join("x0", "x1")
    program.attach(pair.a, "x0", "--mtu", 1400)
    source, target = pair.addresses[4]
    packet = packets.ip_packet(4, source, target, packets.with_checksum(4, source, target, packets.tcp(MSS)))
    assert send(pair, packet, 4) == packet
    assert program.counted(pair.a, "x0") == {}


def test_show_json_has_all_keys(pair):
    program.attach(pair.a, "v0", "--mtu", 1400, "--mss6", 1234, "--direction", "both")
    program_ids = program.programs(pair.a)
    for direction in ("egress", "ingress"):
        entry = program.show(pair.a, "v0")["v0", direction]
        assert entry.pop("program_id") in program_ids
        assert entry.pop("hook") in ("tcx", "clsact")
        assert entry == {"interface": "v0", "ifindex": net.ifindex(pair.a, "v0"), "direction": direction, "mtu": 1400,
                         "mss4": 1360, "mss6": 1234, "source": "given", "live": False, "route_by": None, "rules": 0,
                         "both_ways": False, "mode": "clamp", "add_missing": "off"}


def test_stats_json_has_all_keys(pair):
    program.attach(pair.a, "v0")
    entry = program.stats(pair.a, "v0")
    assert entry.pop("interface") == "v0"
    assert entry.pop("direction") == "egress"
    entry.pop("ifindex", None)
    parts = {"syn", "syn_only", "syn_ack", "unreadable", *program.RESULTS}
    for family in ("ipv4", "ipv6"):
        assert {bucket["count"] for bucket in entry[family].pop("announced")} == {0}
        assert entry[family].pop("announced_bytes") == 0
        assert set(entry[family]) == parts
        assert set(entry.pop(family).values()) == {0}
    assert {"syn", *program.RESULTS} <= set(entry)
    assert set(entry.values()) == {0}


def columns(text):
    """A printed table as a list of {head: cell}; all lines have the same columns."""
    lines = [re.split(r"\s+", line.strip()) for line in text.splitlines()]
    assert len({len(line) for line in lines}) == 1, text
    return [dict(zip(lines[0], line)) for line in lines[1:]]


def test_tables(pair):
    """One aligned table each; `show` has MTU and both MSS, `stats` what was counted."""
    program.attach(pair.a, "v0", "--mtu", 1400, "--direction", "both")
    source, target = pair.addresses[4]
    send(pair, packets.ip_packet(4, source, target, packets.tcp(MSS)), 4)
    result = program.mssbpf("show", netns=pair.a)
    assert (result.status, result.stderr) == (0, "")
    rows = columns(result.stdout)
    assert len(rows) == 2
    for row in rows:
        assert {"v0", "1400", "1360", "1340"} <= set(row.values())
    starts = {line.index(word) for line, word in zip(result.stdout.splitlines(), ("SOURCE", "given", "given"))}
    assert len(starts) == 1, result.stdout

    result = program.mssbpf("stats", netns=pair.a)
    assert (result.status, result.stderr) == (0, "")
    rows = columns(result.stdout)
    clamped, = [row for row in rows if row["DIRECTION"] == "egress" and row["FAMILY"] == "IPv4"]
    assert (clamped["INTERFACE"], clamped["SYN"], clamped["CLAMPED"]) == ("v0", "1", "1")
    assert len({len(line) for line in result.stdout.splitlines()}) == 1, result.stdout


@pytest.mark.parametrize("verb", ("show", "stats"))
def test_nothing_attached(pair, verb):
    program.done(program.mssbpf(verb, netns=pair.a))
    result = program.mssbpf(verb, "--json", netns=pair.a)
    assert (result.status, "".join(result.stdout.split()), result.stderr) == (0, "[]", "")


@pytest.mark.parametrize("verb", ("show", "stats"))
def test_named_interfaces(pair, verb):
    program.attach(pair.a, "v0")
    pair.join("x0", "x1")
    result = program.mssbpf(verb, "x0", netns=pair.a)
    assert (result.status, result.stdout) == (1, ""), result
    assert re.search(r"^mssbpf: x0: not attached", result.stderr)
    result = program.mssbpf(verb, "--json", "wg9", "v0", netns=pair.a)
    assert result.status == 1 and '"v0"' in result.stdout, result
    assert re.search(r"^mssbpf: wg9: no such interface\n$", result.stderr)
