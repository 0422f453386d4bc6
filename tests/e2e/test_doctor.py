# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""`mssbpf doctor`: each fault is planted, found as what it is, and mended by the command that is printed.

Here those of an interface itself, and how findings are printed.
"""
import json
import shlex

import pytest

import net
import program

tcx = pytest.mark.tcx
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


def setting(namespace, name, value=None):
    return inside(namespace, "sysctl", "-n", name if value is None else f"{name}={value}").strip()


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
    """The other one gets the same limits; the MTU of now in words of its own, where it is not followed."""
    program.attach(pair.a, "v0", "--direction", attached, *limits)
    finds(pair.a, [("warning", "v0", "one_direction")])
    shown = program.show(pair.a)
    followed = program.at_least(5, 12) or "auto" not in limits
    for key in ("mss4", "mss6", "mtu", "live", "add_missing") + ("source",) * followed:
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
