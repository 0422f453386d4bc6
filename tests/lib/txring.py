# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Sends frames whose headers are not in the skb's linear part, for the end-to-end tests.

tpacket_snd() of net/packet/af_packet.c copies only the link-layer header (dev->hard_header_len, 14 bytes)
of a frame in a PACKET_TX_RING into the linear part and attaches the rest as page fragments of the ring.
Not a general ring: one frame at a time.
"""
import mmap
import socket
import struct
import time

import net

PACKET_VERSION, TPACKET_V2, PACKET_TX_RING = 10, 1, 13
TP_STATUS_AVAILABLE, TP_STATUS_SEND_REQUEST = 0, 1
FRAME_SIZE, FRAMES = 4096, 16
HEADER = 32  # struct tpacket2_hdr; the frame stands behind it


class RingSender:
    def __init__(self, namespace, device):
        with net.entered(namespace):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.socket.setsockopt(net.SOL_PACKET, PACKET_VERSION, TPACKET_V2)
        request = struct.pack("IIII", FRAME_SIZE, FRAMES, FRAME_SIZE, FRAMES)
        self.socket.setsockopt(net.SOL_PACKET, PACKET_TX_RING, request)
        self.socket.bind((device, 0))
        self.ring = mmap.mmap(self.socket.fileno(), FRAME_SIZE * FRAMES)
        self.slot = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ring.close()
        self.socket.close()

    def send(self, frame):
        """Sends one frame and waits until the kernel is done with it."""
        start = self.slot * FRAME_SIZE
        self.ring[start + HEADER:start + HEADER + len(frame)] = frame
        self.ring[start:start + 8] = struct.pack("II", TP_STATUS_SEND_REQUEST, len(frame))
        self.socket.send(b"")
        self.slot = (self.slot + 1) % FRAMES
        for _ in range(1000):
            status, = struct.unpack("I", self.ring[start:start + 4])
            if status == TP_STATUS_AVAILABLE:
                return
            time.sleep(0.001)
        raise RuntimeError(f"the ring's frame was not sent, status {status:#x}")
