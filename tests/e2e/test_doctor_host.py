# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""`mssbpf doctor`: what the firewall, what reads its rules, and the kernel's settings do to a namespace.

Rule sets in all their spellings are ../unit/firewall.c's.
"""
import json
import os
import shlex
import socket

import pytest

import net
import program
from test_doctor import both, doctor, finds, healthy, inside, mend, nft, setting  # noqa: F401

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
