# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Sends a frame many thousand times as fast as the machine can, through a PACKET_TX_RING.

Not for frames that differ: that is net.Sender.
"""
import mmap
import socket
import struct

import net

PACKET_VERSION, TPACKET_V2, PACKET_TX_RING, PACKET_LOSS = 10, 1, 13, 14
TP_STATUS_SEND_REQUEST, TP_STATUS_WRONG_FORMAT = 1, 4
SLOT, SLOTS, HEADER = 256, 1024, 32  # bytes of a slot, slots, bytes ahead of the frame (struct tpacket2_hdr)


class Flood:
    def __init__(self, namespace, device, frame):
        assert len(frame) <= SLOT - HEADER
        with net.entered(namespace):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.socket.setsockopt(net.SOL_PACKET, PACKET_VERSION, TPACKET_V2)
        self.socket.setsockopt(net.SOL_PACKET, PACKET_TX_RING, struct.pack("IIII", SLOT * SLOTS, 1, SLOT, SLOTS))
        self.socket.bind((device, 0))
        self.ring = mmap.mmap(self.socket.fileno(), SLOT * SLOTS)
        self.request = struct.pack("II", TP_STATUS_SEND_REQUEST, len(frame))
        for slot in range(SLOTS):
            self.ring[slot * SLOT + HEADER:slot * SLOT + HEADER + len(frame)] = frame

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ring.close()
        self.socket.close()

    def send(self, rounds):
        """Sends SLOTS frames for each round; returns how many frames went out."""
        for _ in range(rounds):
            for start in range(0, SLOT * SLOTS, SLOT):
                self.ring[start:start + 8] = self.request
            self.socket.send(b"")  # comes back when all are handed on
            for start in range(0, SLOT * SLOTS, SLOT):
                status, = struct.unpack_from("I", self.ring, start)
                assert not status & (TP_STATUS_SEND_REQUEST | TP_STATUS_WRONG_FORMAT), f"not sent: {status:#x}"
        return rounds * SLOTS
