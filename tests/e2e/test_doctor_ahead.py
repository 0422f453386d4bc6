# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""`mssbpf doctor`: filters and programs of others that keep SYNs from ours, and SYNs that do not come by."""
import contextlib
import socket
import struct

import pytest

import bpf
import net
import program
from test_doctor import both, doctor, finds, healthy, tcx  # noqa: F401
from test_xdp import xdp_router  # noqa: F401

PIN = "/sys/fs/bpf/mssbpf-e2e-foreign"


def syns(pair):
    """Opens a connection, and returns how many SYNs were counted on v0 since before."""
    before = program.stats(pair.a, "v0")["syn"]
    target = pair.addresses[4][1]
    with net.listener(pair.b, socket.AF_INET, target) as server, \
            net.connected(pair.a, socket.AF_INET, target, server.getsockname()[1]):
        return program.stats(pair.a, "v0")["syn"] - before


def attach_at_clsact(pair):
    program.attach(pair.a, "v0", "--mtu", 1400, "--hook", "clsact", "--direction", "both")


ALL = ("u32", "match", "u32", "0", "0")
MIRROR = ("action", "mirred", "egress", "mirror", "dev", "lo")
FILTERS = {  # words of a filter, and whether it keeps SYNs from the next
    "no-action": (ALL, False),
    "class": (("u32", "match", "ip", "protocol", "6", "0xff", "flowid", "1:1"), True),
    "ok": ((*ALL, "action", "ok"), True),
    "pipe": (("matchall", "action", "pipe"), True),
    "redirect": ((*ALL, "action", "mirred", "egress", "redirect", "dev", "lo"), True),
    "mirror": ((*ALL, *MIRROR), True),
    "police": ((*ALL, "action", "police", "rate", "1gbit", "burst", "1m", "conform-exceed", "drop/ok"), True),
    "matchall": (("matchall", "action", "ok"), True),
    "flower": (("flower", "ip_proto", "tcp", "action", "ok"), True),
    "continue": ((*ALL, "action", "continue"), False),
    "mirror-continue": ((*ALL, *MIRROR, "pipe", "action", "continue"), False),
}


def add_filter(pair, direction, priority, protocol, *words):
    added = net.run("tc", "-n", pair.a, "filter", "add", "dev", "v0", direction, "prio", str(priority), "protocol",
                    protocol, *words)
    if added.status:
        pytest.skip(f"this kernel has no such filter or action: tc filter add ... {' '.join(words)}")


def delete_filter(pair, direction, priority):
    net.must("tc", "-n", pair.a, "filter", "del", "dev", "v0", direction, "prio", str(priority))


@pytest.mark.vm
@pytest.mark.parametrize("name", FILTERS)
def test_filter_ahead(pair, name):
    """What the filter keeps from ours is what is told; and the command gets ours ahead of it."""
    words, ends = FILTERS[name]
    attach_at_clsact(pair)
    assert syns(pair) == 1
    add_filter(pair, "egress", 7, "ip", *words)
    if name != "redirect":
        assert syns(pair) == (0 if ends else 1)
    if not ends:
        healthy(pair.a)
    elif bpf.has_tcx():
        commands = finds(pair.a, [("warning", "v0", "filter_ahead")])
        assert commands == [f"mssbpf attach --netns {pair.a} v0 --mtu 1400 --direction egress --hook tcx"]
        if name != "redirect":
            assert syns(pair) == 1
    else:
        commands = finds(pair.a, [("warning", "v0", "filter_ahead")], mends=False)
        assert commands == [f"ip netns exec {pair.a} tc filter show dev v0 egress"]
    delete_filter(pair, "egress", 7)


def test_filters_that_do_no_harm(pair):
    """Behind ours, on the other side, or for packets that have no SYN."""
    program.attach(pair.a, "v0", "--mtu", 1400, "--hook", "clsact", "--direction", "both")
    add_filter(pair, "egress", 78, "ip", *ALL, "flowid", "1:1")
    add_filter(pair, "egress", 7, "arp", *ALL, "flowid", "1:1")
    healthy(pair.a)
    delete_filter(pair, "egress", 7)
    delete_filter(pair, "egress", 78)


@tcx
@pytest.mark.parametrize("hook", ("tcx", "clsact"))
@pytest.mark.parametrize("direction", ("egress", "ingress"))
def test_tcx_program_ahead(pair, hook, direction):
    """It may be harmless: that is no fault, but good to know."""
    program.attach(pair.a, "v0", "--mtu", 1400, "--hook", hook, "--direction", "both")
    with contextlib.closing(bpf.Counter("foreign_first", bpf.PASS)) as other:
        other.attach_tcx(pair.a, "v0", direction, first=True)
        assert syns(pair) == (0 if direction == "egress" else 1)
        finds(pair.a, [("info", "v0", "program_ahead")])
        assert syns(pair) == 1
        assert program.show(pair.a)["v0", direction]["hook"] == "tcx"


@tcx
def test_tcx_program_behind(both):
    with contextlib.closing(bpf.Counter("foreign_last", bpf.PASS)) as other:
        other.attach_tcx(both.a, "v0", "egress")
        healthy(both.a)


def test_clsact_program_ahead(pair):
    attach_at_clsact(pair)
    with contextlib.closing(bpf.Counter("foreign_filter", bpf.PASS)) as other:
        other.attach_filter(pair.a, "v0", "ingress", PIN, "prio", "5")
        result = program.mssbpf("doctor", netns=pair.a)
        assert (result.status, result.stderr) == (0, ""), result
        assert f"foreign_filter, id {other.number}, in clsact" in result.stdout
        finds(pair.a, [("info", "v0", "program_ahead")], mends=bpf.has_tcx())
        net.must("tc", "-n", pair.a, "filter", "del", "dev", "v0", "ingress", "prio", "5")


def flood(pair, namespace, address, count=1100, port=9):
    """UDP, one way."""
    with net.entered(namespace), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(count):
            with contextlib.suppress(ConnectionRefusedError):
                sender.sendto(b"no SYN", (address, port))


def explained(pair, findings=1):
    """What is found, as text."""
    result = program.mssbpf("doctor", netns=pair.a)
    assert (result.status, result.stderr, result.stdout.count("\n")) == (1, "", findings), result
    return result.stdout


@pytest.mark.parametrize("hook", (pytest.param("tcx", marks=tcx), "clsact"))
def test_no_syn(pair, hook):
    """What passed before it was attached does not count; nor does anything once there was a SYN, reset or not."""
    flood(pair, pair.a, pair.addresses[4][1])
    program.attach(pair.a, "v0", "--mtu", 1400, "--hook", hook, "--direction", "both")
    healthy(pair.a)
    flood(pair, pair.a, pair.addresses[4][1], 900)
    healthy(pair.a)
    program.attach(pair.a, "v0", "--mtu", 1390, "--direction", "both")
    flood(pair, pair.a, pair.addresses[4][1], 200)
    finds(pair.a, [("warning", "v0", "no_syn")], mends=False)
    assert " packets left by it " in explained(pair)
    assert syns(pair) == 1
    healthy(pair.a)
    program.done(program.mssbpf("stats", "--reset", netns=pair.a))
    assert program.counted(pair.a, "v0") == {}
    healthy(pair.a)


def test_no_syn_because_it_leaves_elsewhere(pair):
    """Connections come by v0, and what goes there leaves by v2."""
    pair.join("v2", "v3")
    net.ip("-n", pair.a, "address", "add", "198.51.100.1/24", "dev", "v2")
    net.ip("-n", pair.a, "route", "add", "192.0.2.2/32", "dev", "v2")
    program.attach(pair.a, "v0", "--mtu", 1400, "--direction", "both")
    target = pair.addresses[4][0]
    with net.listener(pair.a, socket.AF_INET, target) as server, \
            net.connected(pair.b, socket.AF_INET, target, server.getsockname()[1]):
        healthy(pair.a)
    flood(pair, pair.b, target)
    assert program.counted(pair.a, "v0", "ingress")["syn"] == 1
    finds(pair.a, [("warning", "v0", "no_syn")], mends=False)
    assert "the other way is by another device" in explained(pair)


@pytest.mark.vm
@pytest.mark.parametrize("kind", ("veth", "gre"))
def test_no_syn_because_ipsec_hides_them(pair, kind):
    """All that passes is ESP, as where IPsec is carried in GRE: it is told where to attach instead."""
    device, target, directions, known = "v0", pair.addresses[4][1], "both", []
    if kind == "gre":
        device, target = "g0", "198.51.100.2"
        if not program.at_least(5, 14):  # what arrives by it cannot be read
            directions, known = "egress", [("warning", device, "one_direction")]
        made = net.run("ip", "-n", pair.a, "link", "add", device, "type", "gre", "local", pair.addresses[4][0],
                       "remote", pair.addresses[4][1])
        if "Unknown device type" in made.stderr:
            pytest.skip("this kernel has no GRE")
        net.ip("-n", pair.a, "link", "set", device, "up")
        net.ip("-n", pair.a, "address", "add", "198.51.100.1/24", "dev", device)
    program.attach(pair.a, device, "--direction", directions)
    assert doctor(pair.a) == (known, [None] * len(known))
    with net.entered(pair.a), socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ESP) as sender:
        for number in range(1100):
            sender.sendto(struct.pack("!II", 1, number) + bytes(64), (target, 0))
    finds(pair.a, [*known, ("warning", device, "no_syn")], mends=False)
    assert "IPsec in GRE (attach where it comes from, before it is encrypted)" in explained(pair, len(known) + 1)


def pass_by_xdp(pair, xdp_router):
    """A connection through the router, and many packets."""
    target = pair.addresses[4][1]
    with net.listener(xdp_router.far, socket.AF_INET, target) as server, \
            net.connected(pair.a, socket.AF_INET, target, server.getsockname()[1]):
        flood(pair, pair.a, target)


@tcx
def test_no_syn_because_xdp_forwards(pair, xdp_router):  # noqa: F811
    """Connections pass the router, in XDP, and its TC sees none of them."""
    router = xdp_router.name
    program.attach(router, "v1", "w1", "--mtu", 1400, "--direction", "both")
    healthy(router)
    with contextlib.closing(bpf.Forwarder(router, "w1")) as there, \
            contextlib.closing(bpf.Forwarder(router, "v1")) as back:
        there.attach_xdp(router, "v1")
        back.attach_xdp(router, "w1")
        pass_by_xdp(pair, xdp_router)
        finds(router, [("warning", "v1", "no_syn"), ("warning", "w1", "no_syn")], mends=False)
        said = program.mssbpf("doctor", "v1", netns=router).stdout
        assert f"(forwarder, id {there.number}) is on it; what XDP forwards does not pass TC" in said


@tcx
def test_clamping_where_xdp_forwards(pair, xdp_router):  # noqa: F811
    """Packets are clamped as they leave either port, which is both directions, unless one lets more through."""
    router = xdp_router.name
    program.attach(router, "v1", "w1", "--mtu", 1400)
    with contextlib.closing(bpf.Forwarder(router, "w1", xdp_router.pin)) as there, \
            contextlib.closing(bpf.Forwarder(router, "v1", xdp_router.pin)) as back:
        assert [name for _, _, name in doctor(router)[0]] == ["one_direction"] * 2
        there.attach_xdp(router, "v1")
        back.attach_xdp(router, "w1")
        pass_by_xdp(pair, xdp_router)
        healthy(router)
        program.attach(router, "v1", "--mtu", 1300)
        assert doctor(router)[0] == [("warning", "v1", "one_direction")]


def test_no_syn_because_xdp_takes_them(both):
    """An XDP program on the device is named."""
    with contextlib.closing(bpf.Counter("foreign_xdp", bpf.XDP_PASS, bpf.BPF_PROG_TYPE_XDP)) as other:
        other.attach_xdp(both.a, "v0", "generic")
        healthy(both.a)
        flood(both, both.b, both.addresses[4][0])
        finds(both.a, [("warning", "v0", "no_syn")], mends=False)
        assert f"(foreign_xdp, id {other.number})" in explained(both)
