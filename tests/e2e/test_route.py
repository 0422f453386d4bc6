# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Limits by route (--mtu route) on a router with two ways to a server, and what netfilter's clamp makes of the same.

Lookups in every variety are the subject of prog/route.c; here real packets carry real routes.
"""
import re
import shutil
import socket
import tempfile

import pytest

import net
import packets
import program

FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
HEADERS = {4: 40, 6: 60}
families = pytest.mark.parametrize("family", (4, 6))


def kernel():
    with open("/proc/sys/kernel/osrelease", encoding="ascii") as file:
        return tuple(int(number) for number in re.findall(r"\d+", file.read())[:2])


def looked_up_by():
    """What a lookup goes by on this kernel."""
    return "lookup+mark" if kernel() >= (6, 10) else "lookup"


class Site:
    """client c0--r0 router r1--f1 far f3--s0 server, and a second way between router and far, r2--f2."""

    client, router, far, server = (f"mssbpf-e2e-route-{name}" for name in ("client", "router", "far", "server"))
    links = ((client, "c0", router, "r0"), (router, "r1", far, "f1"), (router, "r2", far, "f2"),
             (far, "f3", server, "s0"))
    net4, net6 = ("10.1.{}.{}", "fd01:{}::{}")
    target = {4: "10.1.3.2", 6: "fd01:3::2"}

    def __init__(self):
        net.make_namespaces(self.client, self.router, self.far, self.server)
        for namespace in (self.client, self.router, self.far, self.server):
            net.must("ip", "netns", "exec", namespace, "sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0")
        for number, (left, device, right, peer) in enumerate(self.links):
            net.ip("link", "add", device, "netns", left, "type", "veth", "peer", "name", peer, "netns", right)
            for host, (namespace, name) in enumerate(((left, device), (right, peer)), 1):
                net.ip("-n", namespace, "address", "add", f"10.1.{number}.{host}/24", "dev", name)
                net.ip("-n", namespace, "address", "add", f"fd01:{number}::{host}/64", "dev", name, "nodad")
                net.ip("-n", namespace, "link", "set", name, "up")
        for namespace in (self.router, self.far):
            net.must("ip", "netns", "exec", namespace, "sysctl", "-qw", "net.ipv4.ip_forward=1",
                     "net.ipv6.conf.all.forwarding=1", "net.ipv4.conf.all.rp_filter=0",
                     *(f"net.ipv4.conf.{device}.rp_filter=0" for device in self.devices(namespace)))
        for family in (4, 6):
            self.ip(self.client, family, "route", "add", "default", "via", self.host(family, 0, 2))
            self.ip(self.server, family, "route", "add", "default", "via", self.host(family, 3, 1))
            self.ip(self.far, family, "route", "add", self.prefix(family, 0), "via", self.host(family, 1, 1))
            self.way(family, 1)

    def devices(self, namespace):
        return [device for left, one, right, other in self.links
                for where, device in ((left, one), (right, other)) if where == namespace]

    def host(self, family, link, host):
        return (self.net4 if family == 4 else self.net6).format(link, host)

    def prefix(self, family, link):
        return f"10.1.{link}.0/24" if family == 4 else f"fd01:{link}::/64"

    def ip(self, namespace, family, *words):
        return net.ip("-n", namespace, f"-{family}", *(str(word) for word in words))

    def way(self, family, link, *words):
        """The router's route to the server leads over r1 or r2."""
        self.ip(self.router, family, "route", "replace", self.prefix(family, 3), "via", self.host(family, link, 2),
                "dev", f"r{link}", *words)

    def mtu(self, mtu, *ends):
        for namespace, device in ends:
            net.ip("-n", namespace, "link", "set", device, "mtu", str(mtu))

    def learn(self, family, *words):
        """The router sends what does not fit behind `far`, and learns."""
        net.run("ip", "netns", "exec", self.router, "ping", f"-{family}", "-M", "do", "-c", "2", "-i", "0.2", "-W", "1",
                *words, "-s", "1450", self.target[family])

    def nft(self, rules):
        net.must("ip", "netns", "exec", self.router, "nft", "-f", "-", stdin=rules)

    def netfilter_clamp(self, family):
        program_name = "iptables" if family == 4 else "ip6tables"
        net.must("ip", "netns", "exec", self.router, program_name, "-t", "mangle", "-A", "FORWARD", "-p", "tcp",
                 "--tcp-flags", "SYN,RST", "SYN", "-j", "TCPMSS", "--clamp-mss-to-pmtu")

    def netfilter_end(self):
        net.must("ip", "netns", "exec", self.router, "nft", "flush", "ruleset")

    def handshake(self, family, size=20000):
        """Opens a connection, and sends so many bytes either way; returns the MTUs that SYN and SYN-ACK speak of where
        they arrive. What the hosts learned from connections before does not count."""
        target = self.target[family]
        for namespace in (self.client, self.server):
            self.ip(namespace, family, "route", "flush", "cache")
        with net.Capture(self.server, "s0") as there, net.Capture(self.client, "c0") as back, \
                net.listener(self.server, FAMILY[family], target) as server:
            with net.connected(self.client, FAMILY[family], target, server.getsockname()[1]) as client:
                accepted, _ = server.accept()
                accepted.settimeout(net.TIMEOUT)
                for sender, receiver in ((accepted, client), (client, accepted)):
                    sender.sendall(b"x" * size)
                    sender.shutdown(socket.SHUT_WR)
                    assert len(b"".join(iter(lambda end=receiver: end.recv(65536), b""))) == size
                accepted.close()
            syn, syn_ack = (capture.frames(1, lambda frame: is_syn(frame) and not frame.outgoing)[0]
                            for capture in (there, back))
        return tuple(packets.dissect(frame.data).mss[0] + HEADERS[family] for frame in (syn, syn_ack))

    def remove(self):
        try:
            for namespace in (self.client, self.router, self.far, self.server):
                if program.pins(namespace):
                    result = program.mssbpf("detach", "--all", netns=namespace)
                    assert (result.status, result.stderr) == (0, ""), result
                assert program.pins(namespace) == []
        finally:
            net.delete_namespaces(self.client, self.router, self.far, self.server)


def is_syn(frame):
    segment = packets.dissect(frame.data)
    return bool(segment) and segment.is_syn


@pytest.fixture
def site(clean):
    if kernel() < (5, 12):
        pytest.skip("this kernel's bpf_fib_lookup() tells no MTU")
    made = Site()
    yield made
    made.remove()


@pytest.fixture
def iptables():
    if not shutil.which("iptables"):
        pytest.skip("iptables is not installed (make deps)")


MARKED = """
table inet marks {
	chain prerouting {
		type filter hook prerouting priority mangle
		ct state new iifname "r0" ct mark set 7
		meta mark set ct mark
	}
}
"""


@families
def test_the_devices_mtu(site, family):
    program.attach(site.router, "r1", "--mtu", "route")
    assert site.handshake(family) == (1500, 1500)
    site.mtu(1400, (site.router, "r1"))
    assert site.handshake(family) == (1400, 1500)
    assert program.counted(site.router, "r1") == {"syn": 2, "already_low": 1, "clamped": 1}


@pytest.mark.vm
@families
@pytest.mark.parametrize("lock", ((), ("lock",)), ids=("mtu", "mtu lock"))
def test_the_routes_mtu(site, family, lock):
    program.attach(site.router, "r1", "--mtu", "route")
    site.way(family, 1, "mtu", *lock, 1380)
    assert site.handshake(family) == (1380, 1500)
    site.way(family, 1, "mtu", *lock, 9000)
    assert site.handshake(family) == (1500, 1500)
    site.way(family, 1, "mtu", *lock, 1300)
    assert site.handshake(family) == (1300, 1500)


@pytest.mark.vm
@families
def test_a_learned_mtu(site, family):
    site.mtu(1380, (site.far, "f3"))
    program.attach(site.router, "r1", "--mtu", "route")
    assert site.handshake(family) == (1500, 1500)
    site.learn(family)
    assert "1380" in site.ip(site.router, family, "route", "get", site.target[family])
    assert site.handshake(family) == (1380, 1500)
    site.ip(site.router, family, "route", "flush", "cache")
    site.way(family, 1)
    assert site.handshake(family) == (1500, 1500)


def by_mark(site, family, *words):
    """What comes from the client is marked, and what is marked goes over r2."""
    site.ip(site.router, family, "rule", "add", "pref", 9, "fwmark", 7, "table", 7)
    site.ip(site.router, family, "route", "add", site.prefix(family, 3), "via", site.host(family, 2, 2), "dev", "r2",
            "table", 7, *words)
    site.ip(site.router, family, "route", "add", site.prefix(family, 0), "dev", "r0", "table", 7)
    site.nft(MARKED)


def by_interface(site, family, *words):
    site.ip(site.router, family, "rule", "add", "pref", 9, "iif", "r0", "table", 7)
    site.ip(site.router, family, "route", "add", site.prefix(family, 3), "via", site.host(family, 2, 2), "dev", "r2",
            "table", 7, *words)


@families
@pytest.mark.parametrize("policy", (by_mark, by_interface))
def test_policy(site, family, policy):
    """The table that the packet's mark or incoming interface chooses counts, not the main one."""
    policy(site, family, "mtu", 1380)
    site.way(family, 1, "mtu", 1300)
    program.attach(site.router, "r1", "r2", "--mtu", "route")
    assert site.handshake(family) == (1380, 1500)
    assert program.counted(site.router, "r2") == {"syn": 1, "clamped": 1}
    assert program.counted(site.router, "r1") == {}


@families
@pytest.mark.parametrize("policy", (by_mark, by_interface))
@pytest.mark.parametrize("how", ("device", "mtu lock", pytest.param("learned", marks=pytest.mark.vm)))
def test_policy_both_ways_where_netfilter_is_wrong(site, family, iptables, policy, how):
    """The SYN-ACK has to speak of the way by r2, too, which the client's segments take. Netfilter's clamp looks the
    route back up without mark and incoming interface, so it finds the one over r1; so do we before Linux 6.10, as far
    as the mark goes."""
    policy(site, family, *(("mtu", "lock", 1380) if how == "mtu lock" else ()))
    if how == "device":
        site.mtu(1380, (site.router, "r2"), (site.far, "f2"))
    if how == "learned":
        site.mtu(1380, (site.far, "f3"))
        # What the router itself sends from there takes the table, too: the MTU is learned for its route.
        site.ip(site.router, family, "rule", "add", "pref", 8, "from", site.host(family, 2, 1), "table", 7)
        site.learn(family, "-I", site.host(family, 2, 1))
    site.netfilter_clamp(family)
    assert site.handshake(family) == (1380, 1500)
    site.netfilter_end()
    if policy is by_mark:
        site.nft(MARKED)
    program.attach(site.router, "r0", "r1", "r2", "--mtu", "route", "--both-ways")
    blind = policy is by_mark and looked_up_by() == "lookup"
    assert site.handshake(family) == (1380, 1500 if blind else 1380)


@families
def test_both_ways(site, family, iptables):
    """As netfilter's clamp: the smaller of the route there and the route back."""
    site.mtu(1400, (site.router, "r0"))
    site.netfilter_clamp(family)
    assert site.handshake(family) == (1400, 1400)
    site.netfilter_end()
    program.attach(site.router, "r1", "--mtu", "route")
    assert site.handshake(family) == (1500, 1500)
    program.attach(site.router, "r1", "--mtu", "route", "--both-ways")
    assert site.handshake(family) == (1400, 1500)
    program.attach(site.router, "r0", "--mtu", "route", "--both-ways")
    assert site.handshake(family) == (1400, 1400)


@pytest.mark.vm
@families
@pytest.mark.parametrize("hook", (("tc", "--direction", "ingress"), ("xdp", "--xdp-mode", "native"),
                                  ("xdp", "--xdp-mode", "generic")), ids=("tc", "native", "generic"))
def test_ingress(site, family, hook):
    """What arrives is held to the route that it will take, and to the MTU of the device it will leave by."""
    program.attach(site.router, "r0", "--mtu", "route", "--hook", *hook)
    assert site.handshake(family) == (1500, 1500)
    site.way(family, 1, "mtu", "lock", 1380)
    assert site.handshake(family) == (1380, 1500)
    site.way(family, 1)
    site.mtu(1400, (site.router, "r1"))
    assert site.handshake(family) == (1400, 1500)
    by_interface(site, family, "mtu", "lock", 1300)
    assert site.handshake(family) == (1300, 1500)
    site.mtu(1290, (site.router, "r0"))
    assert site.handshake(family, 0) == (1290, 1500)  # of the client's segments, veth may drop what is larger than that


@families
@pytest.mark.parametrize("kind", ("unreachable", "blackhole", "prohibit"))
def test_where_nothing_is_forwarded(site, family, kind):
    """The device's MTU counts; nothing else happens to the packet."""
    program.attach(site.router, "r0", "--mtu", "route", "--direction", "ingress", "--both-ways")
    site.ip(site.router, family, "route", "del", site.prefix(family, 3))
    site.ip(site.router, family, "route", "add", kind, site.prefix(family, 3))
    for mtu, result in ((1500, "already_low"), (1400, "clamped")):
        net.ip("-n", site.router, "link", "set", "r0", "mtu", str(mtu))
        with pytest.raises(OSError):
            net.connected(site.client, FAMILY[family], site.target[family], 80, timeout=0.5)
        assert result in program.counted(site.router, "r0", "ingress")


def without_btf(*argv):
    return net.run("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /sys/kernel/btf && exec "$@"', "sh", *argv)


@pytest.mark.vm
@families
def test_a_kernel_without_btf(site, family):
    """The programs load, and routes are looked up: an mtu that is not locked is not seen."""
    program.done(without_btf(program.MSSBPF, "attach", "--netns", site.router, "r1", "--mtu", "route"))
    program.loaded.update(program.programs(site.router))
    by = looked_up_by()
    assert program.show(site.router)["r1", "egress"]["route_by"] == by
    site.way(family, 1, "mtu", 1380)
    assert site.handshake(family) == (1500, 1500)
    site.way(family, 1, "mtu", "lock", 1380)
    assert site.handshake(family) == (1380, 1500)
    result = program.mssbpf("show", netns=site.router)
    assert "an mtu that is not locked" in result.stdout and ("the mark" in result.stdout) == (by == "lookup"), result


@pytest.mark.parametrize("order", (1, -1), ids=("less first", "more first"))
def test_programs_that_are_loaded_with_and_without_btf(site, order):
    """What `show` says is what all of them can do."""
    net.ip("-n", site.router, "tuntap", "add", "mode", "tun", "name", "t0")
    argv = program.MSSBPF, "attach", "--netns", site.router, "--mtu", "route"
    for run, device in [(without_btf, "r1"), (net.run, "t0")][::order]:
        program.done(run(*argv, device))
    program.loaded.update(program.programs(site.router))
    for device in ("r1", "t0"):
        assert program.show(site.router)[device, "egress"]["route_by"] == looked_up_by()


def test_a_program_without_btf_after_one_that_cannot_be_loaded(site):
    """In one command: what `show` says is what those that are there can do."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed (make deps)")
    net.ip("-n", site.router, "tuntap", "add", "mode", "tun", "name", "t0")
    argv = program.MSSBPF, "attach", "--netns", site.router, "--mtu", "route", "r1", "t0"

    def restore():
        program.detach(site.router, "--all")
        program.attach(site.router, "r2", "--direction", "ingress")

    restore()
    with tempfile.NamedTemporaryFile("r") as log:
        program.done(without_btf("strace", "-o", log.name, "-e", "trace=bpf", *argv))
        number = next(number for number, line in enumerate(log, 1) if 'prog_name="mssbpf_tc_eth' in line)
    restore()
    program.refused(without_btf("strace", "-o", "/dev/null", "-e", "trace=bpf", "-e",
                                f"inject=bpf:error=ENOMEM:when={number}..{number + 1}", *argv), 1, "r1: loading")
    program.loaded.update(program.programs(site.router))
    assert program.show(site.router)["t0", "egress"]["route_by"] == looked_up_by()


def test_show(site):
    by = looked_up_by()
    program.attach(site.router, "r1", "--mtu", "route", "--direction", "both", "--mss4", 1300)
    program.attach(site.router, "r2", "--mtu", "route", "--both-ways")
    entries = program.show(site.router)
    for key, route_by, mss4, both in ((("r1", "egress"), "packet", 1300, False), (("r1", "ingress"), by, 1300, False),
                                      (("r2", "egress"), "packet", None, True)):
        entry = entries[key]
        assert [entry[name] for name in ("source", "mtu", "mss4", "mss6", "live", "route_by", "both_ways")] == \
            ["route", None, mss4, None, True, route_by, both]
    lines = program.mssbpf("show", netns=site.router).stdout.splitlines()
    assert re.search(r" - +1300 +- .* route: the one the packet has$", lines[1]), lines
    assert re.search(r" - +1300 +- .* route: looked up; ", lines[2]), lines
    assert re.search(rf" route: the one the packet has; both ways, back looked up: an mtu that is not locked "
                     rf"{'is' if by == 'lookup+mark' else 'and the mark are'} not seen$", lines[3]), lines
    program.attach(site.router, "r1", "--mtu", 1400)
    entry = program.show(site.router)["r1", "egress"]
    assert [entry[name] for name in ("source", "mtu", "route_by", "both_ways")] == ["given", 1400, None, False]


def test_show_at_xdp(site):
    """There is no mark yet, whatever the kernel's lookup takes."""
    program.attach(site.router, "r0", "--mtu", "route", "--both-ways", "--hook", "xdp")
    assert program.show(site.router)["r0", "ingress"]["route_by"] == "lookup"
    line = program.mssbpf("show", netns=site.router).stdout.splitlines()[1]
    assert line.endswith(" route: looked up; an mtu that is not locked and the mark are not seen; both ways"), line


@pytest.mark.parametrize("words", ((), ("--mtu", "1400"), ("--mtu", "auto"),
                                   ("--encap", "ipv4/wireguard", "--underlay-mtu", "1500")))
def test_both_ways_without_route(pair, words):
    result = program.mssbpf("attach", "v0", "--both-ways", *words, netns=pair.a)
    program.refused(result, 2, r"--both-ways .*--mtu route")
    assert program.pins(pair.a) == []


@pytest.mark.vm
def test_a_kernel_without_the_helpers_mtu(pair, tmp_path):
    """Before Linux 5.12; libbpf's probe is made to say so."""
    program.attach(pair.a, "v0", "--mtu", 1400)
    before = program.show(pair.a)
    source, library = tmp_path / "probe.c", tmp_path / "probe.so"
    source.write_text("int libbpf_probe_bpf_helper(int type, int helper, const void *options) { return 0; }\n")
    net.must("cc", "-shared", "-fPIC", "-o", str(library), str(source))
    result = net.run("env", f"LD_PRELOAD={library}", program.MSSBPF, "attach", "--netns", pair.a, "v0", "--mtu",
                     "route")
    program.refused(result, 1, r"--mtu route: .*5\.12.*--mtu N")
    assert program.show(pair.a) == before
