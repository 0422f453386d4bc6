# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What fits through real devices, found out by `mssbpf mtu IFACE` and `mssbpf attach IFACE`, and proven by traffic.

The kinds of tunnels are rows of lib/tunnels.py; those that the running kernel lacks are skipped. Stacks given by
--encap are in test_encap.py.
"""
import contextlib
import json
import re
import socket

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import ICMPv6PacketTooBig, IPv6
from scapy.layers.l2 import Ether

import net
import packets
import program
import tunnels
from conftest import Pair
from tunnels import DEVICE

LINK_MTU = 1500
NETLINK_XFRM, XFRMGRP_ACQUIRE = 6, 1
ELSEWHERE = "203.0.113.9"  # a remote end that is not on the link


def explain(namespace, device, **options):
    """What `mssbpf mtu DEVICE --json` says, and its warnings."""
    result = program.mssbpf("mtu", device, "--json", netns=namespace, **options)
    assert result.status == 0, result
    warnings = result.stderr.splitlines()
    assert all(line.startswith("mssbpf: warning: ") for line in warnings), result
    found = json.loads(result.stdout)
    assert (found["mss4"], found["mss6"]) == (found["inner_mtu"] - 40, found["inner_mtu"] - 60)
    assert found["interface"] == device
    left = found["link_mtu"]
    for layer in found["layers"]:
        left -= layer["bytes"]
        assert layer["left"] == left, found
    assert left == found["inner_mtu"]
    return found, warnings


class Site(Pair):
    """Two hosts that all rows use, one after the other."""

    a, b = "mssbpf-e2e-c", "mssbpf-e2e-d"


@pytest.fixture(scope="module")
def site(machine):
    pair = Site()
    yield [tunnels.End(pair, number) for number in (0, 1)]
    pair.remove()


@pytest.fixture
def ends(site):
    yield site
    for end in site:
        end.undo()


def make(row, ends):
    lacking = tunnels.missing(ends[0].namespace, row.needs)
    if lacking:
        pytest.skip(f"this kernel has no {lacking} devices")
    for end in ends:
        end.undoing.extend(row.undo)
        end.ip(*row.lines)
        for command in row.commands:
            net.must(command[0], "-n", end.namespace, *(word.format(**end.words) for word in command[1:]))


def is_told(warnings, device, mtu, fits):
    """That the device's MTU is larger than what fits, if it is."""
    if mtu > fits:
        assert len(warnings) == 1 and re.search(rf" {device}: .*\b{mtu}\b.*\b{fits}\b", warnings[0]), warnings
    else:
        assert warnings == []


def proves(ends, family, mtu, outer, link_mtu=LINK_MTU):
    """A packet of `mtu` bytes crosses as one packet of `outer` bytes on the link; one byte more does not."""
    with tunnels.Flow(ends, family) as flow:
        crossing = flow.send(mtu)
        assert crossing.in_one(link_mtu) and (crossing.arrived, crossing.outer) == (mtu, [outer]), crossing
        crossing = flow.send(mtu + 1)
        assert not crossing.in_one(link_mtu), crossing


@pytest.mark.parametrize("row", tunnels.ROWS, ids=lambda row: row.name)
def test_tunnel(ends, row):
    """The computed MTU is right to the byte, and the kernel's own where it knows better than a constant."""
    make(row, ends)
    for end in ends:
        end.up()
    near = ends[0]
    kernel = near.mtu()
    found, warnings = explain(near.namespace, DEVICE)
    assert (found["encap"], found["link"], found["link_mtu"]) == (row.encap, near.underlay, LINK_MTU)
    assert found["remote"] == (near.words[row.remote] if row.remote else None)
    assert (found["ways"], found["fits"]) == (1, row.fits)
    assert kernel == (row.kernel or row.fits)
    assert found["inner_mtu"] == min(kernel, row.fits)
    is_told(warnings, DEVICE, kernel, row.fits)

    if all([end.mtu_set(row.fits + 100) for end in ends]):
        found, warnings = explain(near.namespace, DEVICE)
        assert (found["inner_mtu"], found["fits"]) == (row.fits, row.fits)
        is_told(warnings, DEVICE, row.fits + 100, row.fits)
    else:  # by the kernel's own reckoning it cannot be larger
        assert kernel == row.fits
    outer = LINK_MTU - sum(layer["padding"] for layer in found["layers"])
    with row.context(ends):
        for family in row.inner:
            proves(ends, family, row.fits, outer)


def refuses(namespace, device, message):
    """Neither explained nor attached, with one message that matches."""
    program.refused(program.mssbpf("mtu", device, netns=namespace), 1, message)
    program.refused(program.mssbpf("attach", device, netns=namespace), 1, message)
    assert program.pins(namespace) == []
    assert sum(program.attached(namespace, device, "egress")) == 0


DEFAULT4, DEFAULT6 = "route add default via {r4}", "route add default via {r6}"


@pytest.mark.parametrize("routes,peers,encap,fits,remote", (
    ((), ("{r4}:51820",), "ipv4/wireguard", 1440, "r4"),
    ((), ("[{r6}]:51820",), "ipv6/wireguard", 1420, "r6"),
    ((), ("{r4}:51820", "[{r6}]:51820"), "ipv6/wireguard", 1420, "r6"),
    ((), ("[{r6}]:51820", "{r4}:51820"), "ipv6/wireguard", 1420, "r6"),
    ((), ("[::ffff:{r4}]:51820",), "ipv4/wireguard", 1440, "r4"),
    ((DEFAULT6,), ("",), "ipv6/wireguard", 1420, None),
    ((DEFAULT4,), ("",), "ipv6/wireguard", 1420, None),
    ((DEFAULT4, DEFAULT6), ("{r4}:51820", ""), "ipv6/wireguard", 1420, None),
    ((), (), "", 1420, None),
), ids=("ipv4", "ipv6", "ipv6-behind-ipv4", "ipv4-behind-ipv6", "mapped", "roaming", "roaming-with-ipv4-alone",
        "roaming-behind-ipv4", "no-peers"))
def test_wireguard_peers(hosts, wireguards, routes, peers, encap, fits, remote):
    """The worst peer counts, and what is at an unknown place counts as IPv6; the kernel's 1420 is for that."""
    near, device = hosts[0], wireguards()
    near.ip(*routes) if routes else None
    device.configure(*(f"Endpoint={peer}" if peer else "" for peer in peers))
    assert near.mtu(device.device) == 1420
    found, warnings = explain(near.namespace, device.device)
    assert warnings == []
    assert (found["encap"], found["fits"], found["inner_mtu"]) == (encap, fits, 1420)
    assert (found["remote"], found["ways"]) == (remote and near.words[remote], len(peers))
    assert found["link"] == (near.underlay if peers else device.device)


@pytest.mark.parametrize("address,mtu,fits,outer", (
    ("{r4}", 1440, 1440, 1500), ("{r4}", 1500, 1440, 1500), ("{r4}", 1399, 1399, 1459),
    ("[{r6}]", 1420, 1420, 1500), ("[{r6}]", 1500, 1408, 1488)))
def test_wireguard_padding(hosts, wireguards, address, mtu, fits, outer):
    """Padding costs where the device's MTU is larger than what fits, and nowhere else."""
    devices = [wireguards(number) for number in (0, 1)]
    for end, device in zip(hosts, devices):
        device.connect(address)
        assert end.mtu_set(mtu, device.device)
        end.up(device.device)
    found, warnings = explain(hosts[0].namespace, devices[0].device)
    assert found["inner_mtu"] == fits
    if mtu == 1500:
        assert found["encap"].endswith("/wireguard:padded")
        whole = 1420 if "6" in address else 1440
        assert len(warnings) == 1 and re.search(rf"\b1500\b.*\b{fits}\b.*mtu {whole}'", warnings[0]), warnings
    else:
        assert found["encap"].endswith("/wireguard") and warnings == []
    for family in (4, 6):
        proves(hosts, family, fits, outer)


def test_wireguard_mark(hosts, wireguards, pair):
    """The mark chooses the routing table, as for the packets themselves."""
    near, device = hosts[0], wireguards()
    pair.join("v2", "v3")
    near.ip("link set v2 mtu 1400", "address add 198.51.100.1/24 dev v2", "rule add fwmark 0x77 lookup 77",
            f"route add {ELSEWHERE} via {{r4}}", f"route add {ELSEWHERE} via 198.51.100.2 table 77")
    device.configure(f"Endpoint={ELSEWHERE}:51820")
    found, _ = explain(near.namespace, device.device)
    assert (found["link"], found["fits"]) == ("v0", 1440)
    device.configure(f"Endpoint={ELSEWHERE}:51820", interface="FwMark=0x77")
    found, warnings = explain(near.namespace, device.device)
    assert (found["link"], found["link_mtu"], found["encap"]) == ("v2", 1400, "ipv4/wireguard:padded")
    assert len(warnings) == 1 and "mtu 1340'" in warnings[0]


def test_wireguard_many_peers(hosts, wireguards):
    """Peers whose addresses go on in the kernel's next message are no peers without an endpoint."""
    near, device = hosts[0], wireguards()
    peers = []
    for number in range(300):
        addresses = ",".join(f"10.{number >> 8}.{number & 255}.{host}/32" for host in range(1 if number % 60 else 250))
        more = ",".join(f"10.9.{number & 255}.{host}/32" for host in range(0 if number % 60 else 250))
        peers.append(f"Endpoint={{r4}}:{number + 1}\nAllowedIPs={addresses}{',' if more else ''}{more}")
    device.configure(*peers)
    found, warnings = explain(near.namespace, device.device)
    assert (found["ways"], found["encap"], found["fits"], warnings) == (300, "ipv4/wireguard", 1440, [])


def test_wireguard_endpoint_without_route(hosts, wireguards):
    """One of several suffices: its packets cannot be told to fit."""
    near, device = hosts[0], wireguards()
    device.configure("Endpoint={r4}:51820", f"Endpoint={ELSEWHERE}:51820")
    refuses(near.namespace, device.device, rf"^mssbpf: {device.device}: no route .*{ELSEWHERE}.*ip route get.*--mtu")


def test_wireguard_endpoint_that_is_unreachable(hosts, wireguards):
    near, device = hosts[0], wireguards()
    near.ip("route add unreachable 2001:db8:9::/48")
    device.configure("Endpoint=[2001:db8:9::9]:51820")
    refuses(near.namespace, device.device, r"no route .*2001:db8:9::9.*--mtu")


def test_wireguard_roaming_without_default_route(hosts, wireguards):
    near, device = hosts[0], wireguards()
    device.configure("")
    refuses(near.namespace, device.device, r"without an endpoint.*default route.*--mtu")


def test_wireguard_through_itself(hosts, wireguards):
    """A route that leads into the tunnel tells nothing; one warning, however many peers."""
    near, device = hosts[0], wireguards()
    device.configure(f"Endpoint={ELSEWHERE}:51820", f"Endpoint={ELSEWHERE}:51821")
    near.up(device.device)
    near.ip(f"route add {ELSEWHERE} dev {device.device}")
    found, warnings = explain(near.namespace, device.device)
    assert (found["inner_mtu"], found["link"], found["ways"]) == (1420, device.device, 0)
    assert len(warnings) == 1 and "through itself" in warnings[0], warnings


def limit(namespace, device, warnings=0):
    """Attaches without numbers; returns MTU and source as `show` has them."""
    result = program.mssbpf("attach", device, netns=namespace)
    assert (result.status, result.stdout) == (0, ""), result
    assert len(result.stderr.splitlines()) == warnings, result
    entry = program.show(namespace)[device, "egress"]
    assert (entry["mss4"], entry["mss6"]) == (entry["mtu"] - 40, entry["mtu"] - 60)
    return entry["mtu"], entry["source"]


@pytest.mark.parametrize("endpoint,mtu,link_mtu,expected", (
    ("{r4}", 1420, 1500, "ipv4/wireguard on v0 (1500), DEVICE has 1420"),
    ("[{r6}]", 1420, 1500, "ipv6/wireguard on v0 (1500)"),
    ("{r4}", 1500, 1500, "ipv4/wireguard:padded on v0 (1500)"),
    ("{r4}", 1420, 1400, "ipv4/wireguard:padded on v0 (1400)"),
), ids=("smaller", "fits", "larger", "small-link"))
def test_wireguard_source(hosts, wireguards, endpoint, mtu, link_mtu, expected):
    """What `show` says where the limit comes from."""
    near, device = hosts[0], wireguards()
    device.configure(f"Endpoint={endpoint}:51820")
    assert near.mtu_set(mtu, device.device) and near.mtu_set(link_mtu, near.underlay)
    fits = {1500: 1440, 1400: 1328}[link_mtu] if "4" in endpoint else 1420
    assert limit(near.namespace, device.device, mtu > fits) == (
        min(mtu, fits), "computed: " + expected.replace("DEVICE", device.device))


def vxlan(end, words="id 1 local {l4} remote {r4}", name=DEVICE):
    end.ip(f"link add {name} type vxlan dstport 4789 {words}")


def test_route_mtu(hosts):
    near = hosts[0]
    near.ip(f"route add {ELSEWHERE} via {{r4}} mtu 1400")
    vxlan(near, f"id 1 remote {ELSEWHERE}")
    found, warnings = explain(near.namespace, DEVICE)
    assert [(layer["name"], layer["kind"], layer["left"]) for layer in found["layers"]] == [
        ("route", "route", 1400), ("ipv4", "layer", 1380), ("vxlan", "layer", 1350)]
    assert (found["inner_mtu"], len(warnings)) == (1350, 1)
    assert limit(near.namespace, DEVICE, 1) == (1350, "computed: ipv4/vxlan on v0 (1500), route has 1400")


@pytest.mark.parametrize("family", (4, 6))
def test_learned_path_mtu(hosts, family):
    """What a router on the way reported counts, as it does for the tunnel's packets."""
    near, far = hosts
    source, target = near.words[f"l{family}"], near.words[f"r{family}"]
    with net.entered(near.namespace), socket.socket(tunnels.FAMILY[family], socket.SOCK_DGRAM) as reporter:
        reporter.bind((source, 0))
        reporter.connect((target, 9))
        sport = reporter.getsockname()[1]
        if family == 4:
            report = IP(src=target, dst=source) / ICMP(type=3, code=4, nexthopmtu=1400) / \
                IP(src=source, dst=target, flags="DF") / UDP(sport=sport, dport=9)
        else:
            report = IPv6(src=target, dst=source) / ICMPv6PacketTooBig(mtu=1400) / \
                IPv6(src=source, dst=target) / UDP(sport=sport, dport=9)
        with net.Sender(far.namespace, far.underlay) as sender:
            sender.send(bytes(Ether(src=net.mac(far.namespace, far.underlay),
                                    dst=net.mac(near.namespace, near.underlay)) / report))
    vxlan(near, f"id 1 local {source} remote {target}")
    found, _ = explain(near.namespace, DEVICE)
    assert found["layers"][0]["name"] == "route" and found["layers"][0]["left"] == 1400
    assert found["inner_mtu"] == 1400 - (50 if family == 4 else 70)


def test_the_worst_vxlan_remote(hosts, pair):
    """Remote ends of a forwarding database, each with its own way; an entry may name its interface."""
    near = hosts[0]
    pair.join("v2", "v3")
    near.ip("link set v2 mtu 1400", "address add 198.51.100.1/24 dev v2")
    vxlan(near, "id 1 local {l4}")
    for words in (("00:00:00:00:00:00", "dst", near.words["r4"]), ("02:00:00:00:00:01", "dst", near.words["r4"]),
                  ("02:00:00:00:00:02", "dst", "198.51.100.2"),
                  ("02:00:00:00:00:03", "dst", "198.51.100.3", "via", "v2")):
        net.must("bridge", "-n", near.namespace, "fdb", "append", words[0], "dev", DEVICE, *words[1:])
    found, _ = explain(near.namespace, DEVICE)
    assert (found["ways"], found["link"], found["fits"]) == (3, "v2", 1350)
    assert found["remote"] in ("198.51.100.2", "198.51.100.3")


@pytest.mark.parametrize("words", ("external", "external dev {under}", "id 1"))
def test_vxlan_that_goes_anywhere(hosts, words):
    """Where packets go is not known beforehand: said, and the device's own MTU counts."""
    near = hosts[0]
    vxlan(near, words)
    own = near.mtu()
    found, warnings = explain(near.namespace, DEVICE)
    assert (found["inner_mtu"], found["fits"], found["ways"], found["link"]) == (own, own, 0, DEVICE)
    assert len(warnings) == 1 and re.search(rf" {DEVICE}: .*decided for each.*{own}", warnings[0]), warnings
    assert limit(near.namespace, DEVICE, 1) == (own, "device")


def test_tunnel_in_another_namespace(hosts):
    """Its underlay is where it was made, and cannot be seen."""
    near, far = hosts
    vxlan(near)
    near.ip(f"link set {DEVICE} netns {far.namespace}")
    found, warnings = explain(far.namespace, DEVICE)
    assert (found["inner_mtu"], found["ways"], found["link"]) == (1500, 0, DEVICE)
    assert len(warnings) == 1 and "another network namespace" in warnings[0], warnings


def test_macvlan_in_another_namespace(hosts):
    """A container's: its own MTU is never larger than that of the device below."""
    near, far = hosts
    near.ip(f"link add link {{under}} name {DEVICE} mtu 1400 type macvlan", f"link set {DEVICE} netns {far.namespace}")
    found, warnings = explain(far.namespace, DEVICE)
    assert (found["inner_mtu"], found["ways"], warnings) == (1400, 0, [])


@pytest.mark.parametrize("kind", ("veth", "bridge", "ifb", "tun", "dummy"))
def test_devices_that_nothing_carries(hosts, kind):
    """Their own MTU is all there is to know."""
    near = hosts[0]
    if kind == "tun":
        near.ip(f"tuntap add mode tun name {DEVICE}")
    elif kind == "veth":
        near.ip(f"link add {DEVICE} type veth peer name t1")
    else:
        if kind == "dummy" and tunnels.missing(near.namespace, ("dummy",)):
            pytest.skip("this kernel has no dummy devices")
        near.ip(f"link add {DEVICE} type {kind}")
    assert near.mtu_set(1400)
    found, warnings = explain(near.namespace, DEVICE)
    assert (found["link"], found["link_mtu"], found["inner_mtu"], found["layers"]) == (DEVICE, 1400, 1400, [])
    assert (found["remote"], found["ways"], found["fits"], warnings) == (None, 0, 1400, [])
    if near.mtu_set(50):  # too small for any segment, which is no negative number of bytes
        result = program.mssbpf("mtu", DEVICE, "--json", netns=near.namespace)
        assert (result.status, json.loads(result.stdout)["mss4"], json.loads(result.stdout)["mss6"]) == (0, 10, 0)


def test_vxlan_in_wireguard(hosts, wireguards):
    """A tunnel in a tunnel: the outer one's own MTU is one of the steps."""
    near, device = hosts[0], wireguards()
    device.connect("{r4}")
    near.up(device.device)
    vxlan(near, f"id 1 remote {tunnels.INNER[4]}2", "t1")
    found, _ = explain(near.namespace, "t1")
    assert (found["link"], found["encap"]) == ("v0", "ipv4/wireguard/ipv4/vxlan")
    assert [layer["left"] for layer in found["layers"]] == [1480, 1440, 1420, 1400, 1370]
    assert limit(near.namespace, "t1", 1) == (
        1370, f"computed: ipv4/wireguard/ipv4/vxlan on v0 (1500), {device.device} has 1420")


def test_gre_over_vlan(hosts):
    near = hosts[0]
    lacking = tunnels.missing(near.namespace, ("gre", "vlan"))
    if lacking:
        pytest.skip(f"this kernel has no {lacking} devices")
    near.ip("link add link {under} name v0.5 mtu 1496 type vlan id 5", "link set v0.5 up",
            "address add 198.51.100.1/24 dev v0.5", f"link add {DEVICE} type gre remote 198.51.100.2")
    assert near.mtu() == 1472
    found, warnings = explain(near.namespace, DEVICE)
    assert (found["encap"], found["link"], found["fits"], warnings) == ("ipv4/gre", "v0", 1472, [])
    assert limit(near.namespace, DEVICE) == (1472, "computed: ipv4/gre on v0 (1500), v0.5 has 1496")


def test_mark_of_an_ipsec_state(hosts, pair):
    """What a state sets on its packets chooses the routing table."""
    near = hosts[0]
    lacking = tunnels.missing(near.namespace, ("xfrm", "esp"))
    if lacking:
        pytest.skip(f"this kernel has no {lacking} devices")
    pair.join("v2", "v3")
    near.ip("link set v2 mtu 1400", "address add 198.51.100.1/24 dev v2", "rule add fwmark 0x77 lookup 77",
            "route add {r4} via 198.51.100.2 table 77", f"link add {DEVICE} type xfrm if_id 7",
            *tunnels.ipsec("aes-gcm-16", 4, states="if_id 7 output-mark 0x77"))
    found, _ = explain(near.namespace, DEVICE)
    assert (found["link"], found["encap"], found["fits"]) == ("v2", "ipv4/esp:aes-gcm-16", 1346)


def test_ipsec_before_it_is_up(hosts):
    """Without states there is nothing to compute with, and no number is invented; nor while one is negotiated."""
    near = hosts[0]
    lacking = tunnels.missing(near.namespace, ("xfrm",))
    if lacking:
        pytest.skip(f"this kernel has no {lacking} devices")
    near.ip(f"link add {DEVICE} type xfrm if_id 7")
    message = rf"^mssbpf: {DEVICE}: no IPsec state .*--mtu.*--encap"
    refuses(near.namespace, DEVICE, message)
    near.up()
    near.ip("xfrm policy add src 0.0.0.0/0 dst 0.0.0.0/0 dir out if_id 7 tmpl src {l4} dst {r4} proto esp mode tunnel")
    with net.entered(near.namespace):
        daemon = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_XFRM)
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with daemon, sender:
        daemon.bind((0, XFRMGRP_ACQUIRE))
        sender.sendto(b"", (tunnels.INNER[4] + "2", 9))
        assert "spi 0x00000000" in net.ip("-n", near.namespace, "xfrm", "state")
        refuses(near.namespace, DEVICE, message)


def test_ipsec_of_an_unknown_digest(hosts):
    """In tunnel mode there is no computing without it; in transport mode the rest is computed, and that is said."""
    near = hosts[0]
    lacking = tunnels.missing(near.namespace, ("xfrm", "esp", "gre"))
    if lacking:
        pytest.skip(f"this kernel has no {lacking} devices")
    unknown = r"unknown digest hmac\(sha256\) with 64 bits"
    near.ip(f"link add {DEVICE} type xfrm if_id 7",
            *tunnels.ipsec("unknown", 4, states="if_id 7", policies="if_id 7"))
    refuses(near.namespace, DEVICE, rf"^mssbpf: {DEVICE}: .*{unknown}.*--mtu")
    near.ip("xfrm state flush", *list(tunnels.ipsec("unknown", 4, "transport"))[::3],
            "link add t1 type gre local {l4} remote {r4}")
    found, warnings = explain(near.namespace, "t1")
    assert (found["encap"], len(warnings)) == ("ipv4/gre", 1), warnings
    assert re.search(rf"{near.words['r4']} has an {unknown}.*not counted", warnings[0]), warnings


@contextlib.contextmanager
def pppoe(ends, device):
    """A PPPoE session between two devices of the ends, by names that differ in the underlay's."""
    names = [device.format(**end.words) for end in ends]
    macs = [net.mac(end.namespace, name) for end, name in zip(ends, names)]
    sessions = [tunnels.Pppoe(end, name, mac) for end, name, mac in zip(ends, names, macs[::-1])]
    try:
        yield sessions
    finally:
        for session in sessions:
            session.remove()


def test_pppoe(hosts):
    """PPP's own MTU is 1500 unless its daemon says otherwise: too large, and told."""
    lacking = tunnels.missing(hosts[0].namespace, ("pppoe",))
    if lacking:
        pytest.skip("this kernel has no PPPoE")
    with pppoe(hosts, "{under}"):
        for end in hosts:
            end.up("ppp0")
        found, warnings = explain(hosts[0].namespace, "ppp0")
        assert (found["encap"], found["link"], found["fits"], found["ways"]) == ("pppoe", "v0", 1492, 1)
        is_told(warnings, "ppp0", 1500, 1492)
        for family in (4, 6):
            proves(hosts, family, 1492, LINK_MTU)


@pytest.mark.parametrize("mtu,fits", ((1432, 1432), (1500, 1424)))
def test_wireguard_over_pppoe_over_vlan(hosts, wireguards, mtu, fits):
    lacking = tunnels.missing(hosts[0].namespace, ("pppoe", "vlan"))
    if lacking:
        pytest.skip(f"this kernel has no {lacking}")
    for end in hosts:
        end.ip("link add link {under} name vlan5 type vlan id 5", "link set vlan5 up")
    with pppoe(hosts, "vlan5"):
        for end in hosts:
            end.ip("address add 10.8.0.{n}/24 dev ppp0", "link set ppp0 mtu 1492 up")
            device = wireguards(end.number - 1)
            device.connect("10.8.0.{m}")
            assert end.mtu_set(mtu, device.device)
            end.up(device.device)
        found, warnings = explain(hosts[0].namespace, "mssbpf-wg-a")
        padded = ":padded" if mtu > 1432 else ""
        assert (found["encap"], found["link"]) == (f"pppoe/ipv4/wireguard{padded}", "v0")
        assert (found["inner_mtu"], found["fits"], len(warnings)) == (fits, fits, mtu > 1432)
        for family in (4, 6):
            proves(hosts, family, fits, 1500 if mtu == 1432 else 1492)


@pytest.mark.parametrize("hook", (pytest.param("tcx", marks=pytest.mark.tcx), "clsact"))
@pytest.mark.parametrize("family", (4, 6))
def test_limits_that_follow_the_device(hosts, family, hook):
    """With --mtu auto, the next SYN has the limit of the new MTU: no command, no daemon."""
    near, far = hosts
    result = program.mssbpf("attach", near.underlay, "--mtu", "auto", "--hook", hook, netns=near.namespace)
    if "this kernel cannot tell the programs a device's MTU" in result.stderr:
        assert not program.show(near.namespace)[near.underlay, "egress"]["live"]
        pytest.skip("this kernel has no bpf_check_mtu() (5.12)")
    program.done(result)
    source, target = near.words[f"l{family}"], near.words[f"r{family}"]
    headers = 40 if family == 4 else 60
    macs = [net.mac(end.namespace, end.underlay) for end in (far, near)]
    with net.Sender(near.namespace, near.underlay) as sender, net.Capture(far.namespace, far.underlay) as capture:
        for number, mtu in enumerate((1500, 1400, 1301, 576, 1399, 1500, 500)):
            assert near.mtu_set(mtu, near.underlay)
            if mtu < 1280 and family == 6:
                continue  # no IPv6 on such a device
            segment = packets.tcp(packets.mss_option(1460), sport=10000 + number)
            packet = packets.ip_packet(family, source, target, packets.with_checksum(family, source, target, segment))
            sender.send(packets.frame(*macs, family, packet))
            arrived, = capture.frames(1, lambda frame: getattr(
                packets.dissect(frame.data), "is_syn", False))
            seen = packets.dissect(arrived.data)
            assert (seen.mss, seen.checksum_right) == ([min(1460, max(mtu, 576) - headers)], True), mtu
            entry = program.show(near.namespace)[near.underlay, "egress"]
            assert (entry["live"], entry["source"]) == (True, "device")
            assert (entry["mtu"], entry["mss4"]) == (mtu, max(mtu, 576) - 40)


@pytest.mark.parametrize("kind", ("vxlan", "wireguard"))
def test_without_privileges(hosts, wireguards, public_copy, kind):
    """To explain takes none; for WireGuard's peers it does, and that is said."""
    near = hosts[0]
    if kind == "vxlan":
        vxlan(near)
        device = DEVICE
    else:
        wireguard = wireguards()
        wireguard.configure("Endpoint={r4}:51820")
        device = wireguard.device
    result = net.run("ip", "netns", "exec", near.namespace, "setpriv", "--reuid=65534", "--regid=65534",
                     "--clear-groups", public_copy, "mtu", device, "--json")
    if kind == "vxlan":
        assert (result.status, json.loads(result.stdout)["fits"]) == (0, 1450), result
    elif wireguard.process:
        assert (result.status, json.loads(result.stdout)["inner_mtu"]) == (0, 1420), result
        assert re.search(r"^mssbpf: warning: .*WireGuard.*root", result.stderr), result
    else:
        program.refused(result, 1, "CAP_NET_ADMIN")
