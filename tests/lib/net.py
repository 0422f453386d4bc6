# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Network namespaces, commands, raw sending and capturing for the end-to-end tests.

Knows nothing of mssbpf, nor what is in a packet: that is packets.py.
"""
import contextlib
import ctypes
import fcntl
import os
import socket
import struct
import subprocess
import time

CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000
MS_REC, MS_PRIVATE = 1 << 14, 1 << 18
ETH_P_ALL = 0x0003
SO_RCVBUFFORCE = 33
SIOCETHTOOL = 0x8946
OFFLOADS = 0x17, 0x1F, 0x24, 0x2C  # ETHTOOL_STXCSUM, ETHTOOL_STSO, ETHTOOL_SGSO, ETHTOOL_SGRO
SOL_PACKET = 263
PACKET_AUXDATA = 8
PACKET_OUTGOING = 4
TP_STATUS_CSUMNOTREADY = 1 << 3
TP_STATUS_VLAN_VALID = 1 << 4
# Where everything is slower, as in the guests of tests/vm/run, what has to happen may take longer.
PATIENCE = float(os.environ.get("MSSBPF_TEST_PATIENCE", "1"))
TIMEOUT = 5 * PATIENCE  # seconds, for one step of a connection

_libc = ctypes.CDLL(None, use_errno=True)


class Result:
    """What a command did: exit status, stdout, stderr."""

    def __init__(self, argv, status, stdout, stderr):
        self.argv, self.status, self.stdout, self.stderr = argv, status, stdout, stderr

    def __repr__(self):
        return f"{' '.join(self.argv)}: exit {self.status}\nstdout: {self.stdout!r}\nstderr: {self.stderr!r}"


def run(*argv, stdin=None, timeout=15, **options):
    """Runs a command to its end and returns its Result, whatever its exit status."""
    done = subprocess.run(
        argv, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        timeout=timeout * PATIENCE, check=False, **options)
    return Result(argv, done.returncode, done.stdout, done.stderr)


def must(*argv, **options):
    """Runs a command that has to succeed; returns its stdout."""
    result = run(*argv, **options)
    if result.status != 0:
        raise RuntimeError(repr(result))
    return result.stdout


def ip(*arguments):
    return must("ip", *arguments)


def ip_lines(*lines, netns=None):
    """Runs ip(8) once for several command lines."""
    where = ("-n", netns) if netns else ()
    must("ip", *where, "-batch", "-", stdin="\n".join(lines) + "\n", timeout=60)


def unshare_mounts():
    """What this process mounts from now on is seen by it and those it starts only."""
    if _libc.unshare(CLONE_NEWNS) != 0 or _libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) != 0:
        raise OSError(ctypes.get_errno(), "a mount namespace")


def _setns(descriptor):
    if _libc.setns(descriptor, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


@contextlib.contextmanager
def entered(namespace):
    """The calling thread is in the network namespace; sockets made there stay there."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        _setns(there)
        yield
    finally:
        _setns(home)
        os.close(there)
        os.close(home)


def inode(namespace):
    return os.stat(f"/run/netns/{namespace}").st_ino


def ifindex(namespace, device):
    with entered(namespace):
        return socket.if_nametoindex(device)


def mac(namespace, device):
    for line in ip("-n", namespace, "-o", "link", "show", device).splitlines():
        words = line.split()
        if "link/ether" in words:
            return bytes.fromhex(words[words.index("link/ether") + 1].replace(":", ""))
    raise RuntimeError(f"{namespace} {device}: no Ethernet address")


def devices(namespace):
    with entered(namespace):
        return [name for _, name in socket.if_nameindex()]


def offloads(namespace, device, state):
    """Checksum and segmentation offloads of a device, "on" or "off"."""
    with entered(namespace), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as query:
        for command in OFFLOADS:
            value = ctypes.create_string_buffer(struct.pack("II", command, state == "on"), 8)
            fcntl.ioctl(query, SIOCETHTOOL, struct.pack("16sP16x", device.encode(), ctypes.addressof(value)))


def delete_namespaces(*names):
    """Those that are there."""
    lines = [f"netns delete {name}" for name in names if os.path.exists(f"/run/netns/{name}")]
    if lines:
        ip_lines(*lines)


def make_namespaces(*names):
    delete_namespaces(*names)
    ip_lines(*(f"netns add {name}" for name in names))
    for name in names:
        ip("-n", name, "link", "set", "lo", "up")


class Frame:
    """A captured frame: its bytes, and what the kernel noted beside them."""

    def __init__(self, data, outgoing, partial, vlan):
        self.data = data
        self.outgoing = outgoing  # sent by this host
        self.partial = partial  # the checksum is still to be completed (CHECKSUM_PARTIAL)
        self.vlan = vlan  # (tag control, EtherType) of a tag in the skb's metadata, or None


class Capture:
    """Records what passes a device from now on."""

    def __init__(self, namespace, device):
        with entered(namespace):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 22)
        self.socket.bind((device, ETH_P_ALL))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def _next(self, timeout):
        self.socket.settimeout(max(timeout, 0.001))
        try:
            data, ancillary, _, address = self.socket.recvmsg(1 << 16, 256)
        except (socket.timeout, BlockingIOError):
            return None
        status = tag = protocol = 0
        for level, kind, value in ancillary:
            if level == SOL_PACKET and kind == PACKET_AUXDATA:
                status, _, _, _, _, tag, protocol = struct.unpack("=IIIHHHH", value[:20])
        vlan = (tag, protocol) if status & TP_STATUS_VLAN_VALID else None
        return Frame(data, address[2] == PACKET_OUTGOING, bool(status & TP_STATUS_CSUMNOTREADY), vlan)

    def waiting(self):
        """Returns what came until now."""
        found = []
        while (frame := self._next(0)) is not None:
            found.append(frame)
        return found

    def frames(self, count, wanted, timeout=TIMEOUT):
        """Waits until `count` frames came for which wanted(frame) is true; returns them, fewer on timeout."""
        found = []
        deadline = time.monotonic() + timeout
        while len(found) < count:
            left = deadline - time.monotonic()
            frame = self._next(left) if left > 0 else None
            if frame is None:
                break
            if wanted(frame):
                found.append(frame)
        return found


class Sender:
    """Sends whole frames out of a device."""

    def __init__(self, namespace, device):
        with entered(namespace):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.socket.bind((device, 0))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, frame):
        self.socket.send(frame)


def listener(namespace, family, address, port=0):
    with entered(namespace):
        server = socket.socket(family, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.settimeout(TIMEOUT)
    server.bind((address, port))
    server.listen(64)
    return server


def connected(namespace, family, address, port, timeout=TIMEOUT):
    with entered(namespace):
        client = socket.socket(family, socket.SOCK_STREAM)
    client.settimeout(timeout)
    try:
        client.connect((address, port))
    except OSError:
        client.close()
        raise
    return client
