# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Builds TCP segments byte by byte and reads captured ones, for the end-to-end tests.

Checksums are scapy's, so that nothing is shared with the program under test. Sends nothing: that is net.py.
"""
import os
import socket
import struct

from scapy.layers.inet import IP, in4_chksum
from scapy.layers.inet6 import IPv6, in6_chksum
from scapy.utils import PcapWriter

ETH_P_IP, ETH_P_IPV6, ETH_P_8021Q, ETH_P_8021AD = 0x0800, 0x86DD, 0x8100, 0x88A8
TCP = 6
FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10
NOP, MSS = b"\x01", 2
FRAGMENT, AUTH, DESTINATION, HOP_BY_HOP, ROUTING = 44, 51, 60, 0, 43
EXTENSIONS = (HOP_BY_HOP, ROUTING, DESTINATION, FRAGMENT)


def mss_option(mss):
    return struct.pack("!BBH", MSS, 4, mss)


def options_at(offset, mss):
    """40 bytes of options at most, with the MSS option at this offset and nothing but NOPs around it."""
    options = NOP * offset + mss_option(mss)
    return options + NOP * (-len(options) % 4)


def with_checksum(family, source, destination, segment):
    """The TCP segment with its checksum filled in by scapy."""
    blank = segment[:16] + b"\0\0" + segment[18:]
    return blank[:16] + struct.pack("!H", checksum(family, source, destination, blank)) + blank[18:]


def checksum(family, source, destination, segment):
    """What the checksum of a segment has to be; its own field is taken as zero."""
    blank = segment[:16] + b"\0\0" + segment[18:]
    if family == 4:
        return in4_chksum(TCP, IP(src=source, dst=destination, ihl=5, len=20 + len(blank)), blank)
    return in6_chksum(TCP, IPv6(src=source, dst=destination), blank)


def tcp(options=b"", sport=10000, dport=80, flags=SYN, sequence=1, payload=b""):
    """A TCP segment without checksum."""
    options += b"\0" * (-len(options) % 4)
    words = (20 + len(options)) // 4
    header = struct.pack("!HHIIBBHHH", sport, dport, sequence, 0, words << 4, flags, 65000, 0, 0)
    return header + options + payload


def extension(kind, following, length):
    """An extension header of `length` bytes (AH: for IPv4, too); where options stand, they are padding."""
    assert length % 8 == 0 and 8 <= length <= 2048
    if kind == FRAGMENT:
        return struct.pack("!BBHI", following, 0, 0, 1)
    if kind == AUTH:
        return struct.pack("!BBHII", following, length // 4 - 2, 0, 1, 1) + bytes(length - 12)
    if kind == ROUTING:
        return struct.pack("!BBBB", following, length // 8 - 1, 253, 0) + bytes(length - 4)
    body = b""
    while len(body) < length - 2:
        pad = min(length - 2 - len(body), 257)
        if length - 2 - len(body) - pad == 1:
            pad -= 1  # a PadN needs two bytes
        body += struct.pack("!BB", 1, pad - 2) + bytes(pad - 2)
    return struct.pack("!BB", following, length // 8 - 1) + body


def ip_packet(family, source, destination, segment, extensions=()):
    """An IP packet around a TCP segment; extensions is a list of (kind, length)."""
    payload, following = segment, TCP
    for kind, length in reversed(extensions):
        payload = extension(kind, following, length) + payload
        following = kind
    if family == 4:
        return bytes(IP(src=source, dst=destination, proto=following, flags="DF", id=1) / payload)
    return bytes(IPv6(src=source, dst=destination, nh=following, plen=len(payload))) + payload


def frame(destination_mac, source_mac, family, packet, tags=()):
    """An Ethernet frame; tags is a list of (EtherType, tag control), outermost first."""
    header = destination_mac + source_mac
    for kind, control in tags:
        header += struct.pack("!HH", kind, control)
    return header + struct.pack("!H", ETH_P_IP if family == 4 else ETH_P_IPV6) + packet


class Segment:
    """A TCP segment found in a packet."""

    def __init__(self, family, source, destination, tags, packet, offset):
        data = packet[offset:]
        self.family, self.source, self.destination, self.tags = family, source, destination, tags
        self.packet = packet  # from the IP header on
        self.sport, self.dport = struct.unpack("!HH", data[:4])
        self.flags = data[13]
        self.options = data[20:(data[12] >> 4) * 4]
        self.checksum = struct.unpack("!H", data[16:18])[0]
        self.checksum_right = self.checksum == checksum(family, source, destination, data)
        self.mss = _mss_values(self.options)

    @property
    def is_syn(self):
        return bool(self.flags & SYN)

    def __repr__(self):
        right = "right" if self.checksum_right else "WRONG"
        return (f"IPv{self.family} {self.source}:{self.sport} > {self.destination}:{self.dport} "
                f"flags {self.flags:#x} mss {self.mss} checksum {right}")


def _mss_values(options):
    values = []
    while options and options[0] != 0:
        if options[0] == 1:
            options = options[1:]
            continue
        if len(options) < 2 or not 2 <= options[1] <= len(options):
            break
        if options[0] == MSS and options[1] == 4:
            values.append(struct.unpack("!H", options[2:4])[0])
        options = options[options[1]:]
    return values


def dissect(data, ethernet=True):
    """The TCP segment in a frame (or, without Ethernet header, a packet); None when there is none."""
    tags = []
    if ethernet:
        kind, data = struct.unpack("!H", data[12:14])[0], data[14:]
        while kind in (ETH_P_8021Q, ETH_P_8021AD):
            control, inner = struct.unpack("!HH", data[:4])
            tags.append((kind, control))
            kind, data = inner, data[4:]
        if kind not in (ETH_P_IP, ETH_P_IPV6):
            return None
    if data[0] >> 4 == 4:
        length, protocol = struct.unpack("!H", data[2:4])[0], data[9]
        if protocol != TCP or struct.unpack("!H", data[6:8])[0] & 0x1FFF:
            return None
        return Segment(4, socket.inet_ntop(socket.AF_INET, data[12:16]), socket.inet_ntop(socket.AF_INET, data[16:20]),
                       tags, data[:length], (data[0] & 15) * 4)
    if data[0] >> 4 != 6:
        return None
    following, offset = data[6], 40
    while following in EXTENSIONS:
        length = 8 if following == FRAGMENT else (data[offset + 1] + 1) * 8
        following, offset = data[offset], offset + length
    if following != TCP:
        return None
    end = 40 + struct.unpack("!H", data[4:6])[0]
    return Segment(6, socket.inet_ntop(socket.AF_INET6, data[8:24]), socket.inet_ntop(socket.AF_INET6, data[24:40]),
                   tags, data[:end], offset)


def write_pcap(path, packets):
    """IP packets without link header, for tcpdump -r."""
    with PcapWriter(os.fspath(path), linktype=101) as writer:  # LINKTYPE_RAW
        for packet in packets:
            writer.write(packet)
