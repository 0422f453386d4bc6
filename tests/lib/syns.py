# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""SYNs that pass from one device to its peer without a pause, and the MSS that each arrives with.

Each has the same right checksum, which is not looked at. Knows nothing of mssbpf.
"""
import struct
import threading
import time

import net
import packets

PORT = 10077
OFFERED = 1460


class Syns:
    """One at a time: the next leaves when the last has arrived, so one that is lost is told: it is an error unless
    `lossy`."""

    def __init__(self, namespace, device, peer_namespace, peer, lossy=False):
        self._lossy = lossy
        self._sender, self._capture = net.Sender(namespace, device), net.Capture(peer_namespace, peer)
        self._seen, self._passed, self._error, self._end = [], 0, None, False
        self._arrival = threading.Condition()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        self.since()
        return self

    def __exit__(self, *_):
        self._end = True
        self._thread.join()
        for end in (self._sender, self._capture):
            end.__exit__()

    @staticmethod
    def _frame(number):
        # The halves of the sequence number add up to the same in every one, so the checksum is the same.
        sequence = number << 16 | ~number & 0xFFFF
        segment = packets.tcp(packets.mss_option(OFFERED), sport=PORT, sequence=sequence)
        addresses = "192.0.2.1", "192.0.2.77"
        return packets.frame(b"\x02\0\0\0\0\x77", b"\x02\0\0\0\0\x01", 4, packets.ip_packet(
            4, *addresses, packets.with_checksum(4, *addresses, segment)))

    def _run(self):
        try:
            frame, number = bytearray(self._frame(0)), 0
            while not self._end:
                number = (number + 1) % 0x10000
                struct.pack_into("!HH", frame, 38, number, ~number & 0xFFFF)
                self._sender.send(frame)
                arrived = self._capture.frames(1, lambda one: one.data[34:36] + one.data[38:42] == struct.pack(
                    "!HHH", PORT, number, ~number & 0xFFFF), 0.1 * net.PATIENCE if self._lossy else net.TIMEOUT)
                if arrived:
                    self._note(struct.unpack_from("!H", arrived[0].data, 56)[0])
                elif not self._lossy:
                    raise RuntimeError(f"SYN {number} did not arrive")
                time.sleep(0.0003)
        except (OSError, RuntimeError) as error:
            with self._arrival:
                self._error = error
                self._arrival.notify()

    def _note(self, mss):
        with self._arrival:
            if self._seen[-1:] != [mss]:
                self._seen.append(mss)
            self._passed += 1
            self._arrival.notify()

    def since(self):
        """The MSS values seen since the last call, up to one of a SYN that is sent now; repeats count as one."""
        with self._arrival:
            wanted = self._passed + 2  # the next one may be on its way
            self._arrival.wait_for(lambda: self._error or self._passed >= wanted)
            if self._error:
                raise self._error
            seen, self._seen = self._seen, self._seen[-1:]
            return seen

    @property
    def passed(self):
        return self._passed
