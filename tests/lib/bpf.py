# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Small BPF programs of somebody else, for the end-to-end tests: a counter with a verdict, a probe.

Speaks bpf(2) directly, because bpftool 7.1 and libbpf 1.1 have no TCX. Never touches what mssbpf made.
"""
import ctypes
import os
import platform
import struct

import net

BPF_MAP_CREATE, BPF_MAP_LOOKUP_ELEM, BPF_MAP_UPDATE_ELEM, BPF_PROG_LOAD, BPF_OBJ_PIN = 0, 1, 2, 5, 6
BPF_PROG_TEST_RUN = 10
BPF_OBJ_GET, BPF_PROG_GET_FD_BY_ID, BPF_OBJ_GET_INFO_BY_FD, BPF_PROG_QUERY, BPF_LINK_CREATE = 7, 13, 15, 16, 28
BPF_LINK_DETACH = 34
BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_DEVMAP = 2, 14
BPF_PROG_TYPE_SCHED_CLS, BPF_PROG_TYPE_XDP = 3, 6
BPF_XDP = 37
XDP_MODE = {"generic": 1 << 1, "native": 1 << 2}  # XDP_FLAGS_*
BPF_TCX = {"ingress": 46, "egress": 47}
BPF_F_BEFORE = 1 << 3
NEXT, PASS, DROP = -1, 0, 2  # verdicts of TC: go on with the next program; accept here and now; drop
BPF_F_TEST_XDP_LIVE_FRAMES = 1 << 1
XDP_PASS = 2

_SYSCALL = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "i686": 357, "armv7l": 386}
_libc = ctypes.CDLL(None, use_errno=True)


def bpf(command, attributes):
    """bpf(2) with packed attributes; returns (result, attributes as the kernel left them)."""
    buffer = ctypes.create_string_buffer(attributes.ljust(144, b"\0"), 144)
    result = _libc.syscall(_SYSCALL[platform.machine()], command, buffer, 144)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"bpf({command}): {os.strerror(error)}")
    return result, buffer.raw


def _pointer(buffer):
    return ctypes.addressof(buffer)


def _instruction(code, target=0, source=0, offset=0, immediate=0):
    return struct.pack("<BBhi", code, source << 4 | target, offset, immediate)


def _lookup(descriptor):
    """r0 = address of the array's element whose index is at r10 - 4."""
    return (_instruction(0xBF, 2, 10) + _instruction(0x07, 2, immediate=-4)
            + _instruction(0x18, 1, 1, immediate=descriptor) + _instruction(0)
            + _instruction(0x85, immediate=1))


def _return(verdict):
    return _instruction(0xB7, 0, immediate=verdict) + _instruction(0x95)


RETURN_NEXT = _return(NEXT)  # programs that do nothing
RETURN_PASS = _return(XDP_PASS)


class Array:
    """A BPF array of 64-bit numbers."""

    def __init__(self, entries):
        attributes = struct.pack("IIIII", BPF_MAP_TYPE_ARRAY, 4, 8, entries, 0)
        self.descriptor, _ = bpf(BPF_MAP_CREATE, attributes)

    def __getitem__(self, index):
        key = ctypes.create_string_buffer(struct.pack("I", index), 4)
        value = ctypes.create_string_buffer(8)
        bpf(BPF_MAP_LOOKUP_ELEM, struct.pack("IIQQQ", self.descriptor, 0, _pointer(key), _pointer(value), 0))
        return struct.unpack("Q", value.raw)[0]


class Program:
    """A loaded program, of TC or XDP."""

    def __init__(self, name, code, kind=BPF_PROG_TYPE_SCHED_CLS):
        instructions = ctypes.create_string_buffer(code, len(code))
        licence = ctypes.create_string_buffer(b"GPL")
        log = ctypes.create_string_buffer(1 << 16)
        attributes = struct.pack(
            "IIQQIIQII16sII", kind, len(code) // 8, _pointer(instructions), _pointer(licence),
            1, len(log), _pointer(log), 0, 0, name.encode(), 0, BPF_XDP if kind == BPF_PROG_TYPE_XDP else 0)
        try:
            self.descriptor, _ = bpf(BPF_PROG_LOAD, attributes)
        except OSError as error:
            raise RuntimeError(f"{error}\n{log.value.decode()}") from error
        self.link = None

    def attach_tcx(self, namespace, device, direction, first=False):
        """Attaches as TCX link, which lives as long as this object."""
        flags = BPF_F_BEFORE if first else 0
        with net.entered(namespace):
            attributes = struct.pack("IIIIIIQ", self.descriptor, net.ifindex(namespace, device),
                                     BPF_TCX[direction], flags, 0, 0, 0)
            self.link, _ = bpf(BPF_LINK_CREATE, attributes)

    def attach_xdp(self, namespace, device, mode="native"):
        """Attaches as XDP link, which lives as long as this object."""
        with net.entered(namespace):
            attributes = struct.pack("IIII", self.descriptor, net.ifindex(namespace, device), BPF_XDP, XDP_MODE[mode])
            self.link, _ = bpf(BPF_LINK_CREATE, attributes)

    @property
    def number(self):
        return _number(self.descriptor)

    def pin(self, path):
        name = ctypes.create_string_buffer(os.fsencode(path))
        bpf(BPF_OBJ_PIN, struct.pack("QII", _pointer(name), self.descriptor, 0))

    def attach_filter(self, namespace, device, direction, pin, *options):
        """Attaches as clsact filter, by way of a pin that is gone afterwards."""
        self.pin(pin)
        try:
            # Not tc -n: that hides /sys/fs/bpf.
            net.must("nsenter", f"--net=/run/netns/{namespace}", "tc", "filter", "add", "dev", device, direction,
                     *options, "bpf", "direct-action", "object-pinned", str(pin))
        finally:
            os.unlink(pin)

    def close(self):
        for descriptor in (self.link, self.descriptor):
            if descriptor is not None:
                os.close(descriptor)
        self.link = self.descriptor = None


class Counter(Program):
    """Counts packets and returns a verdict."""

    def __init__(self, name="foreign", verdict=NEXT, kind=BPF_PROG_TYPE_SCHED_CLS):
        self.array = Array(1)
        super().__init__(name, (
            _instruction(0x62, 10, offset=-4) + _lookup(self.array.descriptor)
            + _instruction(0x15, 0, offset=2)
            + _instruction(0xB7, 1, immediate=1) + _instruction(0xDB, 0, 1)
            + _return(verdict)), kind)

    @property
    def packets(self):
        return self.array[0]


class MapUser(Program):
    """Has a map that is pinned, does nothing with it, and returns a verdict."""

    def __init__(self, name, path, verdict=NEXT):
        descriptor = _open(path)
        super().__init__(name, _instruction(0x18, 1, 1, immediate=descriptor) + _instruction(0) + _return(verdict))
        os.close(descriptor)


class LinearProbe(Program):
    """Notes for each length of packet how many of its bytes are in the skb's linear part."""

    SIZE = 4096

    def __init__(self):
        self.array = Array(self.SIZE)
        super().__init__("linear_probe", (
            _instruction(0x61, 6, 1, 76) + _instruction(0x61, 7, 1, 80)  # data, data_end
            + _instruction(0x61, 8, 1, 0)  # len
            + _instruction(0x1F, 7, 6)
            + _instruction(0x57, 8, immediate=self.SIZE - 1) + _instruction(0x63, 10, 8, -4)
            + _lookup(self.array.descriptor)
            + _instruction(0x15, 0, offset=1) + _instruction(0x7B, 0, 7)
            + _return(NEXT)))

    def linear(self, length):
        return self.array[length]


class Forwarder(Program):
    """An XDP program that sends every frame out of one device, where a program of devmap type may run on it."""

    def __init__(self, namespace, device, pin=None):
        """pin: where that program is pinned."""
        with net.entered(namespace):  # a devmap is one of a network namespace
            self.devmap, _ = bpf(BPF_MAP_CREATE, struct.pack("IIIII", BPF_MAP_TYPE_DEVMAP, 4, 8, 1, 0))
            egress = _open(pin) if pin else -1
            key = ctypes.create_string_buffer(bytes(4), 4)
            value = ctypes.create_string_buffer(struct.pack("Ii", net.ifindex(namespace, device), egress), 8)
            bpf(BPF_MAP_UPDATE_ELEM, struct.pack("IIQQQ", self.devmap, 0, _pointer(key), _pointer(value), 0))
            if pin:
                os.close(egress)
        super().__init__("forwarder", (
            _instruction(0x18, 1, 1, immediate=self.devmap) + _instruction(0)
            + _instruction(0xB7, 2) + _instruction(0xB7, 3) + _instruction(0x85, immediate=51)  # bpf_redirect_map
            + _instruction(0x95)), BPF_PROG_TYPE_XDP)

    def close(self):
        os.close(self.devmap)
        super().close()


class Generator(Program):
    """Makes frames out of nothing and sends them out of a device, many in one call (BPF_F_TEST_XDP_LIVE_FRAMES). The
    other end of the device must take frames of XDP."""

    REWRITTEN = 128  # bytes

    def __init__(self, frame, number):
        """number: of the device. The kernel uses a frame's memory again as it comes back: so the headers are written
        each time."""
        self.frame = frame
        headers = frame[:self.REWRITTEN]
        stores, offset = b"", 0
        for code, size in ((0x62, 4), (0x6A, 2), (0x72, 1)):
            while len(headers) - offset >= size:
                value = int.from_bytes(headers[offset:offset + size], "little", signed=size == 4)
                stores += _instruction(code, 2, offset=offset, immediate=value)
                offset += size
        super().__init__("generator", (
            _instruction(0x61, 2, 1, 0) + _instruction(0x61, 3, 1, 4)  # data, data_end
            + _instruction(0xBF, 4, 2) + _instruction(0x07, 4, immediate=len(headers))
            + _instruction(0x2D, 4, 3, len(stores) // 8 + 4) + stores
            + _instruction(0xB7, 1, immediate=number) + _instruction(0xB7, 2)
            + _instruction(0x85, immediate=23) + _instruction(0x95)  # bpf_redirect
            + _return(0)), BPF_PROG_TYPE_XDP)

    def send(self, namespace, count):
        """Sends so many frames; returns how long that took until the last one came to where it ends, as the kernel says:
        whole nanoseconds a frame."""
        data = ctypes.create_string_buffer(self.frame, len(self.frame))
        with net.entered(namespace):
            _, attributes = bpf(BPF_PROG_TEST_RUN, struct.pack(
                "IIIIQQIIIIQQIII", self.descriptor, 0, len(data), 0, _pointer(data), 0, count, 0, 0, 0, 0, 0,
                BPF_F_TEST_XDP_LIVE_FRAMES, 0, 0))
        return struct.unpack_from("I", attributes, 36)[0]


class Sink(Program):
    """Drops all packets of a device, Ethernet frames, when attached on ingress; counts those to its address, and sums
    up a 16-bit field of theirs in network order."""

    def __init__(self, offset4, offset6):
        """offset4, offset6: where the field is over IPv4 and IPv6, in bytes."""
        self.array = Array(2)

        def field(offset, skip):
            """r8 = the field, if the packet is so long; else skips so many instructions more."""
            return (_instruction(0xBF, 2, 6) + _instruction(0x07, 2, immediate=offset + 2)
                    + _instruction(0x2D, 2, 7, 1 + skip) + _instruction(0x69, 8, 6, offset))

        counting = b"".join(
            _instruction(0x62, 10, offset=-4, immediate=index) + _lookup(self.array.descriptor)
            + _instruction(0x15, 0, offset=len(add) // 8) + add
            for index, add in enumerate((
                _instruction(0xB7, 1, immediate=1) + _instruction(0xDB, 0, 1), _instruction(0xDB, 0, 8))))
        ethernet = (_instruction(0x69, 3, 6, 0)  # multicast is none of what is counted
                    + _instruction(0x45, 3, offset=7 + len(counting) // 8, immediate=1)
                    + _instruction(0x69, 3, 6, 12))
        super().__init__("sink", (
            _instruction(0xB7, 8) + _instruction(0x61, 6, 1, 76) + _instruction(0x61, 7, 1, 80)  # data, data_end
            + field(offset4, len(ethernet) // 8 + 5) + ethernet
            + _instruction(0x55, 3, offset=4, immediate=0xDD86) + field(offset6, 0)
            + _instruction(0xDC, 8, immediate=16)
            + counting + _return(DROP)))

    @property
    def packets(self):
        return self.array[0]

    @property
    def sum(self):
        return self.array[1]


def tcx_programs(namespace, device, direction):
    """Ids of the TCX programs of a device in the order they run."""
    ids = (ctypes.c_uint32 * 64)()
    with net.entered(namespace):
        attributes = struct.pack("IIIIQII", net.ifindex(namespace, device), BPF_TCX[direction], 0, 0,
                                 _pointer(ids), len(ids), 0)
        _, attributes = bpf(BPF_PROG_QUERY, attributes)
    return list(ids[:struct.unpack_from("I", attributes, 24)[0]])


def _open(path):
    name = ctypes.create_string_buffer(os.fsencode(path))
    return bpf(BPF_OBJ_GET, struct.pack("QII", _pointer(name), 0, 0))[0]


def detach_link(path):
    """Takes a pinned link off its device, and leaves the pin."""
    descriptor = _open(path)
    bpf(BPF_LINK_DETACH, struct.pack("I", descriptor))
    os.close(descriptor)


def _number(descriptor):
    info = ctypes.create_string_buffer(256)
    bpf(BPF_OBJ_GET_INFO_BY_FD, struct.pack("IIQ", descriptor, len(info), _pointer(info)))
    return struct.unpack_from("I", info.raw, 4)[0]


def pinned_program(path):
    """Id of the program that is pinned there."""
    descriptor = _open(path)
    try:
        return _number(descriptor)
    finally:
        os.close(descriptor)


def program_exists(number):
    try:
        descriptor, _ = bpf(BPF_PROG_GET_FD_BY_ID, struct.pack("III", number, 0, 0))
    except FileNotFoundError:
        return False
    os.close(descriptor)
    return True


def has_tcx():
    try:
        with open("/proc/self/ns/net", "rb"):
            ids = (ctypes.c_uint32 * 1)()
            bpf(BPF_PROG_QUERY, struct.pack("IIIIQII", 1, BPF_TCX["egress"], 0, 0, _pointer(ids), 1, 0))
        return True
    except OSError:
        return False
