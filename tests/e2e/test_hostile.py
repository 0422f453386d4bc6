# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Programs behind a TUN device's configuration socket that answer with anything but a configuration: none of them
holds a command up, makes it take memory without end, or ends it without a word.

What a well-behaved one tells is in test_detect.py.
"""
import contextlib
import os
import pathlib
import socket
import threading
import time

import pytest

import net
import program

SOCKETS = pathlib.Path("/var/run/wireguard")
DEVICE = "mssbpf-hostile"
PEER = "public_key=" + "ab" * 32 + "\n"


def forever(connection, text):
    while True:
        connection.sendall(text.encode())


def drip(connection, _):
    while True:
        connection.sendall(b"a")
        time.sleep(0.1)


def say(connection, text):
    connection.sendall(text.encode())
    connection.recv(1)  # until the other side has gone


def close(connection, text):
    connection.sendall(text.encode())


@contextlib.contextmanager
def listener(namespace, behave, text):
    """A program that listens for DEVICE, does this to each who connects, and ends with the block."""
    path = SOCKETS / f"{DEVICE}.sock"
    SOCKETS.mkdir(exist_ok=True)
    net.ip("-n", namespace, "tuntap", "add", "mode", "tun", "name", DEVICE)
    with net.entered(namespace), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))
        server.listen(4)

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection, contextlib.suppress(OSError):
                        behave(connection, text)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
            os.unlink(path)


TRICKS = {
    "closes": (close, ""), "closes in a peer": (close, PEER), "closes before the end": (close, PEER + "errno=0\n"),
    "errno too small": (say, "errno=-2147483648\n\n"), "errno": (say, "errno=1\n\n"), "errno no number": (say, "errno=x\n\n"),
    "nonsense": (say, "nonsense\n\n"), "a long line": (say, "x" * 100_000), "drips": (drip, ""),
    "peers for ever": (forever, PEER * 1000), "one line for ever": (forever, "x" * 65536),
}


@pytest.mark.parametrize("trick", TRICKS)
def test_no_configuration(pair, trick):
    with listener(pair.a, *TRICKS[trick]):
        for verb in ("mtu", "attach"):
            result = program.mssbpf(verb, DEVICE, netns=pair.a, timeout=60)
            program.refused(result, 1, f"{DEVICE}: cannot read its peers from .*{DEVICE}.sock: ")
            assert len(result.stderr.splitlines()) == 1 and len(result.stderr) < 300
    assert program.pins(pair.a) == []


def test_a_long_answer(pair):
    """Ten thousand peers are no attack."""
    peer = PEER + "endpoint=192.0.2.2:1\n" + "allowed_ip=10.0.0.0/8\n" * 3
    with listener(pair.a, say, peer * 10_000 + "errno=0\n\n"):
        net.ip("-n", pair.a, "link", "set", DEVICE, "mtu", "1420")
        result = program.mssbpf("mtu", DEVICE, netns=pair.a, timeout=60)
        assert (result.status, result.stderr) == (0, ""), result
        assert "of 10000" in result.stdout and "MTU 1420 inside" in result.stdout, result


def test_many_devices_below_each_other(pair):
    """A macvlan on a macvlan on a macvlan...: as deep as the kernel lets them be."""
    below = "v0"
    for number in range(7):
        net.ip("-n", pair.a, "link", "add", "link", below, "name", f"m{number}", "type", "macvlan")
        below = f"m{number}"
    result = program.mssbpf("mtu", below, netns=pair.a)
    assert result.status == 0 and "MTU 1500 inside" in result.stdout, result
