# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""`mssbpf doctor`: each fault is planted, found as what it is, and mended by the command that is printed.

Rule sets in all their spellings are ../unit/firewall.c's.
"""
import contextlib
import json
import os
import shlex
import socket
import struct

import pytest

import bpf
import net
import program
from test_xdp import xdp_router  # noqa: F401

tcx = pytest.mark.tcx
PIN = "/sys/fs/bpf/mssbpf-e2e-foreign"
STATUS = {"info": 0, "warning": 1, "error": 3}
FILTER = "type filter hook {} priority 0; policy {};"


def doctor(namespace, *arguments, **options):
    """What it finds, as [(severity, interface, finding)], and the commands; its exit status goes by the worst."""
    result = program.mssbpf("doctor", "--json", *arguments, netns=namespace, **options)
    assert result.stderr == "", result
    found = json.loads(result.stdout)
    for entry in found:
        assert list(entry) == ["severity", "finding", "interface", "text", "command"], entry
        assert entry["text"], entry
    assert result.status == max([STATUS[entry["severity"]] for entry in found], default=0), result
    return ([(entry["severity"], entry["interface"], entry["finding"]) for entry in found],
            [entry["command"] for entry in found])


def mend(command):
    """Runs a command as it is printed."""
    net.must("sh", "-ec", f'mssbpf() {{ {shlex.quote(program.MSSBPF)} "$@"; }}; {command}')


def finds(namespace, expected, *arguments, mends=True):
    """Just these are found; and once their commands have run, none of them."""
    found, commands = doctor(namespace, *arguments)
    assert found == expected, (found, commands)
    if mends:
        for command in commands:
            mend(command)
        assert doctor(namespace, *arguments) == ([], []), commands
    return commands


def healthy(namespace, *arguments):
    assert doctor(namespace, *arguments) == ([], [])


def inside(namespace, *words, **options):
    return net.must("ip", "netns", "exec", namespace, *words, **options)


def nft(namespace, text):
    inside(namespace, "nft", "-f", "-", stdin=text.replace("}", "\n}\n"))


@pytest.fixture
def both(pair):
    """v0 is clamped to 1400 in both directions."""
    program.attach(pair.a, "v0", "--mtu", 1400, "--direction", "both")
    return pair


@pytest.mark.parametrize("hook", (pytest.param("tcx", marks=tcx), "clsact"))
@pytest.mark.parametrize("limit", (("--mtu", 1400), ("--mtu", "auto"), (), ("--mss4", 1300, "--mss6", 1280)))
def test_healthy(pair, hook, limit):
    program.attach(pair.a, "v0", "--hook", hook, "--direction", "both", *limit)
    for arguments in ((), ("v0",), ("v*",)):
        healthy(pair.a, *arguments)
        program.done(program.mssbpf("doctor", *arguments, netns=pair.a), "nothing found; 1 interface looked at\n")


def test_healthy_firewall(both):
    """A stateful firewall as people have it, by nftables and by both kinds of iptables."""
    nft(both.a, f"""table inet filter {{
        chain input {{ {FILTER.format('input', 'drop')}
            ct state vmap {{ established : accept, related : accept, invalid : drop }}
            iif lo accept
            icmp type echo-request limit rate 5/second accept
            tcp dport 22 accept
        }}
        chain forward {{ {FILTER.format('forward', 'drop')}
            ct state established,related accept
            iifname "v0" oifname "v2" accept
            oifname "v2" tcp flags syn tcp option maxseg size set rt mtu
        }}
        chain output {{ {FILTER.format('output', 'accept')}
            udp dport 53 accept
        }}
    }}""")
    for tool in ("iptables", "iptables-legacy", "ip6tables", "ip6tables-legacy"):
        inside(both.a, tool, "-P", "FORWARD", "DROP")
        inside(both.a, tool, "-A", "FORWARD", "-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED", "-j", "ACCEPT")
        inside(both.a, tool, "-A", "INPUT", "-s", "::1" if "6" in tool else "192.0.2.66", "-j", "DROP")
    before = inside(both.a, "nft", "list", "ruleset")
    healthy(both.a)
    assert inside(both.a, "nft", "list", "ruleset") == before


def test_nothing_attached(pair):
    found, commands = doctor(pair.a)
    assert found == [("error", None, "nothing_attached")]
    assert commands == [f"mssbpf attach --netns {pair.a} IFACE --direction both"]


def test_not_attached(pair):
    """The command is what attach itself would take."""
    commands = finds(pair.a, [("error", "v0", "not_attached")], "v0")
    assert commands == [f"mssbpf attach --netns {pair.a} v0 --mtu 1500 --direction both"]
    assert program.show(pair.a)["v0", "ingress"]["mtu"] == 1500


def test_not_attached_tunnel(hosts):
    near = hosts[0]
    near.ip("link add t0 type vxlan id 1 dstport 4789 local {l4} remote {r4} dev v0", "link set t0 up")
    finds(near.namespace, [("error", "t0", "not_attached")], "t0")
    assert program.show(near.namespace)["t0", "egress"]["mtu"] == 1450


def test_what_cannot_be_attached(pair):
    found, commands = doctor(pair.a, "lo")
    assert (found, commands) == ([("error", "lo", "not_attached")], [None])


def test_names_that_a_shell_reads_otherwise(pair):
    """What an interface is called is no part of a command."""
    name = "a;b'$(x)&"
    net.ip("-n", pair.a, "link", "add", name, "type", "veth")
    finds(pair.a, [("error", name, "not_attached")], name)
    assert (name, "egress") in program.show(pair.a)


def test_patterns(both):
    """A pattern means those that are attached, a name means that it should be."""
    both.join("v2", "v3")
    healthy(both.a, "v*")
    finds(both.a, [("error", "v2", "not_attached")], "v0", "v2")
    program.detach(both.a, "--all")
    result = program.mssbpf("doctor", "v*", netns=both.a)
    assert (result.status, result.stdout) == (3, f"error: nothing is attached in this network namespace; IFACE is the "
                                                 f"tunnel's interface, or the one that packets leave by "
                                                 f"[nothing_attached]\n    mssbpf "
                                                 f"attach --netns {both.a} IFACE --direction both\n"), result
    assert result.stderr == "mssbpf: v*: none of the interfaces that match is attached\n"


@pytest.mark.parametrize("arguments,words", (
    (("--mtu", 1600, "--direction", "both"), "--mtu 1500 --direction both"),
    (("--mtu", 1400, "--mss6", 1441, "--direction", "both", "--add-missing"),
     "--mtu 1500 --direction both --add-missing")))
def test_limit_larger_than_the_device(pair, arguments, words):
    assert program.mssbpf("attach", "v0", *arguments, netns=pair.a).status == 0
    commands = finds(pair.a, [("error", "v0", "limit_too_large")])
    assert commands == [f"mssbpf attach --netns {pair.a} v0 {words}"]


def test_limit_of_one_direction(both):
    assert program.mssbpf("attach", "v0", "--mtu", 1501, "--direction", "ingress", netns=both.a).status == 0
    commands = finds(both.a, [("error", "v0", "limit_too_large")])
    assert commands == [f"mssbpf attach --netns {both.a} v0 --mtu 1500 --direction ingress"]


def test_rules_larger_than_the_device(both):
    """Those that are not, and those that are no limit, are left out of the command."""
    for words in (("10.1.0.0/16", "--mtu", "1500"), ("10.2.0.0/16", "--off"), ("2001:db8:9::/48", "--mss", "1440")):
        program.done(program.mssbpf("rule", "add", "v0", *words, netns=both.a))
    healthy(both.a)
    for words in (("10.3.0.0/16", "--mtu", "1501"), ("2001:db8:8::/48", "--mss", "1441")):
        assert program.mssbpf("rule", "add", "v0", *words, netns=both.a).status == 0
    said = program.mssbpf("doctor", netns=both.a).stdout
    assert "2 of its 5 rules are for more than the 1500 bytes that fit through it: 10.3.0.0/16 mtu 1501, and oth" in said
    commands = finds(both.a, [("error", "v0", "rule_too_large")])
    assert commands == [f"mssbpf rule add --netns {both.a} v0 10.3.0.0/16 2001:db8:8::/48 --mtu 1500"]


def test_rule_larger_than_the_underlay(hosts):
    near = hosts[0]
    near.ip("link add t0 type vxlan id 1 dstport 4789 local {l4} remote {r4}", "link set t0 mtu 1450 up")
    program.attach(near.namespace, "t0", "--mtu", "none", "--direction", "both")
    program.done(program.mssbpf("rule", "add", "t0", "10.0.0.0/8", "--mtu", "1450", netns=near.namespace))
    healthy(near.namespace)
    near.ip("link set v0 mtu 1400")
    commands = finds(near.namespace, [("error", "t0", "rule_too_large"), ("warning", "t0", "mtu_too_large")])
    assert commands[0] == f"mssbpf rule add --netns {near.namespace} t0 10.0.0.0/8 --mtu 1350"


def test_limit_larger_than_the_underlay(hosts):
    """The device's MTU shrank below, and nobody told the clamp."""
    near = hosts[0]
    near.ip("link add t0 type vxlan id 1 dstport 4789 local {l4} remote {r4}", "link set t0 mtu 1400 up")
    program.attach(near.namespace, "t0", "--direction", "both")
    healthy(near.namespace)
    near.ip("link set v0 mtu 1300")
    found, commands = doctor(near.namespace)
    assert found == [("error", "t0", "limit_too_large"), ("warning", "t0", "mtu_too_large")]
    assert commands == [f"mssbpf attach --netns {near.namespace} t0 --mtu 1250 --direction both",
                        f"ip netns exec {near.namespace} ip link set t0 mtu 1250"]
    for command in commands:
        mend(command)
    healthy(near.namespace)


def test_device_larger_than_the_underlay(hosts):
    near = hosts[0]
    near.ip("link add t0 type vxlan id 1 dstport 4789 local {l4} remote {r4}", "link set t0 up")
    assert near.mtu("t0") == 1500
    assert program.mssbpf("attach", "t0", "--direction", "both", netns=near.namespace).status == 0
    commands = finds(near.namespace, [("warning", "t0", "mtu_too_large")])
    assert commands == [f"ip netns exec {near.namespace} ip link set t0 mtu 1450"]


def test_wireguard_larger_than_the_underlay(hosts, wireguards):
    near, tunnel = hosts[0], wireguards()
    tunnel.configure("Endpoint=[{r6}]:51820")
    near.ip(f"link set {tunnel.device} up")
    program.attach(near.namespace, tunnel.device, "--direction", "both")
    healthy(near.namespace)
    near.ip(f"link set {tunnel.device} mtu 1500")
    commands = finds(near.namespace, [("error", tunnel.device, "limit_too_large"),
                                      ("warning", tunnel.device, "wireguard_mtu_too_large")], mends=False)
    assert commands == [f"mssbpf attach --netns {near.namespace} {tunnel.device} --mtu 1408 --direction both",
                        f"ip netns exec {near.namespace} ip link set {tunnel.device} mtu 1420"]
    mend(commands[0])
    finds(near.namespace, [("warning", tunnel.device, "wireguard_mtu_too_large")])
    assert near.mtu(tunnel.device) == 1420


@pytest.mark.parametrize("attached,missing", (("egress", "ingress"), ("ingress", "egress")))
@pytest.mark.parametrize("limits", (("--mtu", "1400"), ("--mtu", "auto"), ("--mtu", "1400", "--mss4", "1300"),
                                    ("--mtu", "route"), ("--mtu", "none"), ("--mtu", "none", "--mss4", "1300"),
                                    ("--mtu", "1400", "--add-missing=limit")))
def test_one_direction(pair, attached, missing, limits):
    """The other one gets the same limits."""
    program.attach(pair.a, "v0", "--direction", attached, *limits)
    finds(pair.a, [("warning", "v0", "one_direction")])
    shown = program.show(pair.a)
    for key in ("mss4", "mss6", "mtu", "live", "add_missing", "source"):
        assert shown["v0", missing][key] == shown["v0", attached][key]


def test_both_ways_on_two_interfaces(pair):
    """Each holds what leaves by it to the route there and back: that is both directions."""
    pair.join("v2", "v3")
    program.attach(pair.a, "v0", "--mtu", "route", "--both-ways")
    assert doctor(pair.a)[0] == [("warning", "v0", "one_direction")]
    program.attach(pair.a, "v2", "--mtu", "route", "--both-ways")
    healthy(pair.a)


def test_dry_run(pair):
    program.attach(pair.a, "v0", "--mtu", 1400, "--direction", "both", "--dry-run")
    commands = finds(pair.a, [("info", "v0", "dry_run")])
    assert commands == [f"mssbpf attach --netns {pair.a} v0 --mtu 1400 --direction both"]


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


def explained(pair):
    """The one finding's text."""
    result = program.mssbpf("doctor", netns=pair.a)
    assert (result.status, result.stderr, result.stdout.count("\n")) == (1, "", 1), result
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
    device, target = "v0", pair.addresses[4][1]
    if kind == "gre":
        device, target = "g0", "198.51.100.2"
        made = net.run("ip", "-n", pair.a, "link", "add", device, "type", "gre", "local", pair.addresses[4][0],
                       "remote", pair.addresses[4][1])
        if "Unknown device type" in made.stderr:
            pytest.skip("this kernel has no GRE")
        net.ip("-n", pair.a, "link", "set", device, "up")
        net.ip("-n", pair.a, "address", "add", "198.51.100.1/24", "dev", device)
    program.attach(pair.a, device, "--direction", "both")
    healthy(pair.a)
    with net.entered(pair.a), socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ESP) as sender:
        for number in range(1100):
            sender.sendto(struct.pack("!II", 1, number) + bytes(64), (target, 0))
    finds(pair.a, [("warning", device, "no_syn")], mends=False)
    assert "IPsec in GRE (attach where it comes from, before it is encrypted)" in explained(pair)


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
        target = pair.addresses[4][1]
        with net.listener(xdp_router.far, socket.AF_INET, target) as server, \
                net.connected(pair.a, socket.AF_INET, target, server.getsockname()[1]):
            flood(pair, pair.a, target)
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
        target = pair.addresses[4][1]
        with net.listener(xdp_router.far, socket.AF_INET, target) as server, \
                net.connected(pair.a, socket.AF_INET, target, server.getsockname()[1]):
            flood(pair, pair.a, target)
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


CLAMPS = {
    "nft": ("nft", "table inet t { chain c { type filter hook forward priority 0;\n"
                   "oifname \"v0\" tcp flags syn tcp option maxseg size set rt mtu\n} }"),
    "nft-any-device": ("nft", "table ip t { chain c { type filter hook postrouting priority 0;\n"
                              "tcp flags syn tcp option maxseg size set 1300\n} }"),
    "nft-jump": ("nft", "table inet t { chain d { tcp option maxseg size set 1300\n}\n"
                        "chain c { type filter hook forward priority 0;\niifname \"v0\" jump d\n} }"),
    "nft-netdev": ("nft", "table netdev t { chain c { type filter hook ingress device v0 priority 0;\n"
                          "tcp option maxseg size set 1300\n} }"),
    "iptables-nft": ("iptables-nft", "-o v0 -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu"),
    "iptables-legacy": ("iptables-legacy", "-i v0 -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss 1300"),
    "ip6tables-nft": ("ip6tables-nft", "-o v+ -p tcp --syn -m comment --comment 'it\"s $(x)' -j TCPMSS --set-mss 1300"),
    "ip6tables-legacy": ("ip6tables-legacy", "-p tcp --syn -j TCPMSS --clamp-mss-to-pmtu"),
}


@pytest.mark.parametrize("name", CLAMPS)
def test_firewall_clamp(both, name):
    tool, text = CLAMPS[name]
    if tool == "nft":
        nft(both.a, text)
    else:
        inside(both.a, tool, "-t", "mangle", "-A", "FORWARD", *shlex.split(text))
    finds(both.a, [("warning", "v0", "firewall_clamp")])


def test_firewall_clamp_elsewhere(both):
    """Rules for other interfaces, and for packets that are none of ours, are none of ours."""
    nft(both.a, "table inet t { chain d { tcp option maxseg size set 1300\n}\n"
                "chain c { type filter hook forward priority 0;\niifname \"v2\" oifname != \"v0\" jump d\n"
                "meta l4proto udp jump d\n} }")
    healthy(both.a)


ICMP = {
    "forward": "chain c { type filter hook forward priority 0;\nicmp type destination-unreachable drop\n}",
    "output": "chain c { type filter hook output priority 0;\nmeta l4proto icmp drop\n}",
    "policy": "chain c { type filter hook forward priority 0; policy drop;\nmeta nfproto ipv6 accept\n}",
    "some": "chain c { type filter hook postrouting priority 0;\nip daddr 192.0.2.9 ip protocol icmp drop\n}",
    "jump": "chain d { drop\n}\nchain c { type filter hook forward priority 0;\nmeta l4proto icmp jump d\n}",
}


def test_sets_by_their_names(both):
    """What is in them tells what a rule is for."""
    table = """table inet t {{ set s {{ type icmp_type; elements = {{ {} }}
    }}
    set d {{ type ifname; elements = {{ {} }}
    }}
    chain c {{ type filter hook forward priority 0;\nicmp type @s drop
    iifname "x0" oifname @d tcp flags syn tcp option maxseg size set 1300\n}} }}"""
    nft(both.a, table.format("redirect, echo-request", '"v1", "v2"'))
    healthy(both.a)
    inside(both.a, "nft", "flush ruleset")
    nft(both.a, table.format("redirect, destination-unreachable", '"v0", "v2"'))
    finds(both.a, [("warning", "v0", "firewall_clamp"), ("warning", None, "icmp_dropped")])


def nft_add(namespace, *parts):
    """By JSON, where any name goes."""
    inside(namespace, "nft", "-j", "-f", "-", stdin=json.dumps({"nftables": [{"add": part} for part in parts]}))


COMMAND = "s; add table inet more"
TABLE = {"family": "inet", "table": "t"}
CHAIN = {**TABLE, "type": "filter", "hook": "forward", "prio": 0}


def test_a_set_whose_name_is_a_command(both):
    """nft would do as it says."""
    icmp_type = {"payload": {"protocol": "icmp", "field": "type"}}
    type_is = {"match": {"op": "==", "left": icmp_type, "right": f"@{COMMAND}"}}
    nft_add(both.a, {"table": {"family": "inet", "name": "t"}},
            *({"set": {**TABLE, "name": name, "type": "icmp_type"}} for name in ("s", COMMAND)),
            {"chain": {**CHAIN, "name": "c", "policy": "accept"}},
            {"rule": {**TABLE, "chain": "c", "expr": [type_is, {"drop": None}]}})
    before = inside(both.a, "nft", "list", "ruleset")
    assert COMMAND in before
    healthy(both.a)
    assert inside(both.a, "nft", "list", "ruleset") == before


def test_a_chain_whose_name_is_a_command(both):
    """It is found, and no command is printed that would do as it says."""
    clamp = {"mangle": {"key": {"tcp option": {"name": "maxseg", "field": "size"}}, "value": 1300}}
    nft_add(both.a, {"table": {"family": "inet", "name": "t"}}, {"chain": {**CHAIN, "name": COMMAND, "policy": "drop"}},
            {"rule": {**TABLE, "chain": COMMAND, "expr": [clamp]}})
    assert doctor(both.a) == ([("warning", "v0", "firewall_clamp"), ("warning", None, "icmp_dropped"),
                               ("warning", None, "icmp_dropped")], [None] * 3)


@pytest.mark.parametrize("name", ICMP)
def test_icmp_dropped(both, name):
    nft(both.a, f"table inet t {{ {ICMP[name]} }}")
    finds(both.a, [("warning", None, "icmp_dropped")])


@pytest.mark.parametrize("tool,protocol", (
    ("iptables-nft", "icmp"), ("iptables-legacy", "icmp"), ("ip6tables-nft", "icmpv6"), ("ip6tables-legacy", "icmpv6")))
def test_icmp_dropped_by_iptables(both, tool, protocol):
    inside(both.a, tool, "-A", "FORWARD", "-p", protocol, "-j", "DROP")
    commands = finds(both.a, [("warning", None, "icmp_dropped")])
    assert commands[0].startswith(f"ip netns exec {both.a} {tool} -t filter -I FORWARD -p {protocol} ")


def test_icmp6_dropped(both):
    nft(both.a, "table ip6 t { chain c { type filter hook forward priority 0; policy drop;\n} }")
    commands = finds(both.a, [("warning", None, "icmp_dropped")])
    assert commands == [f"ip netns exec {both.a} nft insert rule ip6 t c icmpv6 type packet-too-big accept"]


def test_icmp_limited_by_the_firewall(both):
    nft(both.a, "table ip t { chain c { type filter hook forward priority 0; policy drop;\n"
                "ip protocol icmp limit rate 1/second accept\n} }")
    finds(both.a, [("warning", None, "icmp_limited")])


def setting(namespace, name, value=None):
    return inside(namespace, "sysctl", "-n", name if value is None else f"{name}={value}").strip()


@pytest.mark.parametrize("name,value,severity,finding,mended", (
    ("net.ipv4.ip_no_pmtu_disc", "1", "warning", "pmtu_discovery_off", "0"),
    ("net.ipv4.ip_no_pmtu_disc", "2", "warning", "pmtu_discovery_off", "0"),
    ("net.ipv4.tcp_mtu_probing", "2", "info", "mtu_probing_always", "1"),
    ("net.ipv6.icmp.ratemask", "0-127", "warning", "icmp_limited", "0-1,3-127")))
def test_settings(both, name, value, severity, finding, mended):
    setting(both.a, name, value)
    finds(both.a, [(severity, None, finding)])
    assert setting(both.a, name) == mended


@pytest.mark.parametrize("name,value", (
    ("net.ipv4.ip_no_pmtu_disc", "3"), ("net.ipv4.tcp_mtu_probing", "1"), ("net.ipv6.icmp.ratemask", "0-1,3"),
    ("net.ipv4.icmp_ratelimit", "60000"), ("net.ipv4.icmp_ratemask", "-1")))
def test_settings_that_do_no_harm(both, name, value):
    """The kernel never limits "fragmentation needed", whatever net.ipv4.icmp_ratelimit says."""
    setting(both.a, name, value)
    healthy(both.a)


def test_no_limit_of_icmpv6(both):
    setting(both.a, "net.ipv6.icmp.ratemask", "0-127")
    setting(both.a, "net.ipv6.icmp.ratelimit", "0")
    healthy(both.a)


def test_probing_off(both):
    """Only where the messages that make it unnecessary are lost."""
    setting(both.a, "net.ipv4.tcp_mtu_probing", "0")
    healthy(both.a)
    nft(both.a, "table ip t { chain c { type filter hook input priority 0;\nip protocol icmp drop\n} }")
    finds(both.a, [("warning", None, "icmp_dropped"), ("warning", None, "mtu_probing_off")], mends=False)
    mend(doctor(both.a)[1][1])
    assert setting(both.a, "net.ipv4.tcp_mtu_probing") == "1"
    finds(both.a, [("warning", None, "icmp_dropped")])


def test_quic(both):
    nft(both.a, "table ip t { chain c { type filter hook output priority 0;\nct state invalid drop\n} }")
    with net.entered(both.a), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"dns", (both.addresses[4][1], 53))
        healthy(both.a)
        sender.sendto(b"quic", (both.addresses[4][1], 443))
    assert doctor(both.a) == ([("info", None, "udp_not_clamped")], [None])


def test_text(both):
    """As people read it: the fault, and the command below."""
    setting(both.a, "net.ipv4.ip_no_pmtu_disc", "2")
    result = program.mssbpf("doctor", netns=both.a)
    assert (result.status, result.stderr) == (1, "")
    assert result.stdout == (
        "warning: net.ipv4.ip_no_pmtu_disc is 2: a path MTU that this host is told is ignored: tunnels from here do "
        f"not learn theirs [pmtu_discovery_off]\n    ip netns exec {both.a} sysctl -w net.ipv4.ip_no_pmtu_disc=0\n")


def test_inside_the_namespace(both):
    """Without --netns, commands are for where it runs."""
    setting(both.a, "net.ipv4.ip_no_pmtu_disc", "2")
    result = net.run("nsenter", f"--net=/run/netns/{both.a}", program.MSSBPF, "doctor", "--json")
    assert [entry["command"] for entry in json.loads(result.stdout)] == ["sysctl -w net.ipv4.ip_no_pmtu_disc=0"]


RULES = "table inet t { chain c { type filter hook forward priority 0;\nudp dport 9 drop\n} }"


def without(pair, *tools):
    """What doctor finds where these tools are not installed."""
    hide = "".join(f"mount --bind /dev/null /usr/sbin/{tool}\n" for tool in tools)
    result = net.run("unshare", "--mount", "sh", "-ec", f'{hide}exec "$@"', "sh", program.MSSBPF, "doctor", "--json",
                     "--netns", pair.a)
    assert result.stderr == "", result
    found = json.loads(result.stdout)
    assert result.status == (1 if found else 0)
    return [(entry["severity"], entry["finding"], entry["command"]) for entry in found]


def test_without_the_tool(both):
    """That nobody can read the rules is told, where there are any."""
    assert without(both, "nft") == []
    nft(both.a, RULES)
    assert without(both, "nft") == [("warning", "firewall_unread", None)]
    healthy(both.a)


def test_without_nft(both):
    """Where all that nftables has is iptables', that can read it; or the other way round."""
    inside(both.a, "iptables-nft", "-A", "INPUT", "-p", "udp", "-j", "DROP")
    assert without(both, "nft") == without(both, "iptables-nft-save") == []
    assert without(both, "nft", "iptables-nft-save") == [("warning", "firewall_unread", None)]
    inside(both.a, "iptables-nft", "-A", "FORWARD", "-p", "icmp", "-j", "DROP")
    (severity, finding, command), = without(both, "nft")
    assert (severity, finding) == ("warning", "icmp_dropped") and " iptables-nft " in command
    (severity, finding, command), = without(both, "iptables-nft-save")
    assert (severity, finding) == ("warning", "icmp_dropped") and " nft insert " in command


def test_without_iptables_legacy(both):
    """iptables-save that shows nftables' is not taken for the other one."""
    inside(both.a, "iptables-legacy", "-A", "INPUT", "-p", "udp", "-j", "DROP")
    inside(both.a, "iptables-nft", "-A", "INPUT", "-p", "udp", "-j", "DROP")
    assert without(both) == []
    assert without(both, "iptables-legacy-save") == [("warning", "firewall_unread", None)]


@pytest.mark.parametrize("script,message", (
    ("exit 1", "it failed"), ("kill $$", "it failed"), ("echo nonsense", "what it prints is not understood"),
    ("echo '{\"nftables\":'", "what it prints is not understood"),
    ("exec head -c 100000000 /dev/zero", "it prints more than 32 MiB"),
    ("head -c 40000 /dev/zero | tr '\\0' '['", "what it prints is not understood")))
def test_hostile_tool(both, tmp_path, script, message):
    """It could not look: that is said on stderr, and is no clean bill of health."""
    nft(both.a, RULES)
    tool = tmp_path / "nft"
    tool.write_text(f"#!/bin/sh\n{script}\n", encoding="ascii")
    tool.chmod(0o755)
    path = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    result = program.mssbpf("doctor", netns=both.a, env=path)
    assert (result.status, result.stdout) == (1, ""), result
    assert result.stderr == f"mssbpf: cannot read the nftables rules by nft: {message}\n"
    result = program.mssbpf("doctor", "--json", netns=both.a, env=path)
    assert (result.status, result.stdout) == (1, "[]\n"), result


def test_control_characters(both):
    """What others wrote does not reach the terminal as it is."""
    tunnel = "\x1b[31mred"
    net.ip("-n", both.a, "link", "add", tunnel, "type", "veth")
    result = program.mssbpf("doctor", tunnel, netns=both.a)
    assert result.status == 3 and "\x1b" not in result.stdout, result


def test_usage(pair, public_copy):
    program.refused(program.mssbpf("doctor", "--mtu", "1400", netns=pair.a), 2, "unknown or ambiguous option")
    result = program.mssbpf("doctor", "nosuch0", netns=pair.a)
    assert (result.status, result.stderr) == (3, "mssbpf: nosuch0: no such interface\n")
    program.refused(net.run("setpriv", "--reuid=65534", "--clear-groups", public_copy, "doctor"), 1, "not permitted")
