# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Limits of their own for prefixes: the command, and SYNs to and from peers inside and outside of them.

How nested prefixes are flattened and searched is the subject of levels unit and prog.
"""
import json
import random
import re

import pytest

import net
import packets
import program
import syns
from test_skb import Behind, families

OFFERED = 1460
HEADERS = {4: 40, 6: 60}
OWN = 1400
hooks = pytest.mark.parametrize("hook", (pytest.param("tcx", marks=pytest.mark.tcx), "clsact", "native", "generic"))
# Peers: without a rule, in a prefix, in a longer one within, in one within that is left alone.
PEERS = {4: ("192.0.2.77", "10.8.0.1", "10.8.1.1", "10.8.2.1"),
         6: ("2001:db8:9::1", "2001:db8:8::1", "2001:db8:8:1::1", "2001:db8:8:2::1")}
RULES = {4: ("10.8.0.0/16", "10.8.1.0/24", "10.8.2.0/23"), 6: ("2001:db8:8::/48", "2001:db8:8:1::/64", "2001:db8:8:2::/63")}
MTUS = (OWN, 1380, 1300, None)


def attach(pair, hook, *options, direction=None):
    """At v0 for what leaves; XDP, at v1 for what arrives. Returns where."""
    words = ("--hook", "xdp", "--xdp-mode", hook) if hook in ("native", "generic") else ("--hook", hook)
    direction = direction or ("ingress" if words[1] == "xdp" else "egress")
    where = (pair.a, "v0") if direction == "egress" else (pair.b, "v1")
    program.attach(*where, "--direction", direction, *words, *(options or ("--mtu", OWN)))
    return (*where, direction)


def rule(netns, action, *words, **options):
    return program.done(program.mssbpf("rule", action, *words, netns=netns, **options))


def listed(netns, *interfaces):
    """What `rule list --json` says, as {(interface, prefix): MTU, or None for off}; the other keys have to agree."""
    result = program.mssbpf("rule", "list", "--json", *interfaces, netns=netns)
    assert (result.status, result.stderr) == (0, ""), result
    found = {}
    for entry in json.loads(result.stdout):
        assert set(entry) == {"interface", "prefix", "family", "mtu", "mss", "off"}
        family = 6 if ":" in entry["prefix"] else 4
        assert entry["family"] == f"ipv{family}"
        assert entry["mss"] == (None if entry["off"] else entry["mtu"] - HEADERS[family])
        assert entry["off"] == (entry["mtu"] is None)
        found[entry["interface"], entry["prefix"]] = entry["mtu"]
    return found


def crafted(pair, family, peer, direction, options=packets.mss_option(OFFERED)):
    """A frame from v0, to or from the peer."""
    host = pair.addresses[family][0]
    source, target = (host, peer) if direction == "egress" else (peer, host)
    segment = packets.with_checksum(family, source, target, packets.tcp(options))
    return packets.frame(b"\x02\0\0\0\0\x99", net.mac(pair.a, "v0"), family,
                         packets.ip_packet(family, source, target, segment))


def check_peers(pair, behind, sender, direction, mtus):
    """Sends a SYN to or from each peer; each arrives with the limit of its MTU, or unchanged where that is None."""
    for family in (4, 6):
        for peer, mtu in zip(PEERS[family], mtus):
            frame = crafted(pair, family, peer, direction)
            segment = behind.deliver(sender, frame)
            assert segment.checksum_right, segment
            if mtu is None:
                assert segment.packet == packets.dissect(frame).packet
            else:
                assert segment.options == packets.mss_option(mtu - HEADERS[family]), (segment, peer, mtu)


def add_rules(netns, device):
    for family in (4, 6):
        whole, longer, off = RULES[family]
        rule(netns, "add", device, whole, "--mtu", MTUS[1])
        rule(netns, "add", device, longer, "--mss", MTUS[2] - HEADERS[family])
        rule(netns, "add", device, off, "--off")


@pytest.mark.vm
@hooks
def test_peers(pair, hook):
    """Added one by one, changed, taken away: each time the longest match holds, and the interface's own for the rest."""
    netns, device, direction = attach(pair, hook)
    with Behind(pair) as behind, net.Sender(pair.a, "v0") as sender:
        add_rules(netns, device)
        check_peers(pair, behind, sender, direction, MTUS)
        rule(netns, "add", device, RULES[4][2], RULES[6][2], "--mtu", 1290)
        check_peers(pair, behind, sender, direction, (OWN, 1380, 1300, 1290))
        rule(netns, "del", device, RULES[4][0], RULES[6][0])
        check_peers(pair, behind, sender, direction, (OWN, OWN, 1300, 1290))
        rule(netns, "flush", device)
        check_peers(pair, behind, sender, direction, (OWN,) * 4)
    assert program.counted(netns, device, direction) == {"syn": 32, "clamped": 30, "exempt": 2}


@pytest.mark.parametrize("direction", ("egress", "ingress"))
def test_no_other_limit(pair, direction):
    """--mtu none: what no rule is for is left alone; --dry-run: what one is for, too."""
    netns, device, _ = attach(pair, "tc", "--mtu", "none", direction=direction)
    with Behind(pair) as behind, net.Sender(pair.a, "v0") as sender:
        check_peers(pair, behind, sender, direction, (None,) * 4)
        add_rules(netns, device)
        check_peers(pair, behind, sender, direction, (None, 1380, 1300, None))
        program.attach(netns, device, "--direction", direction, "--mtu", "none", "--dry-run")
        check_peers(pair, behind, sender, direction, (None,) * 4)
    assert program.counted(netns, device, direction) == {"syn": 24, "clamped": 8, "exempt": 16}
    entry = program.show(netns)[device, direction]
    assert (entry["mtu"], entry["mss4"], entry["mss6"], entry["source"], entry["rules"]) == (None, None, None, "none", 6)


def test_none_for_one_family(pair):
    program.attach(pair.a, "v0", "--mtu", "none", "--mss4", 1300)
    entry = program.show(pair.a)["v0", "egress"]
    assert (entry["mtu"], entry["mss4"], entry["mss6"], entry["source"], entry["rules"]) == (None, 1300, None, "none", 0)


@families
def test_add_missing(pair, family):
    """The option that is added obeys the rule; where one says off, none is added."""
    netns, device, direction = attach(pair, "tc", "--mtu", OWN, "--add-missing=limit")
    add_rules(netns, device)
    with Behind(pair) as behind, net.Sender(pair.a, "v0") as sender:
        for peer, mtu in zip(PEERS[family], MTUS):
            segment = behind.deliver(sender, crafted(pair, family, peer, direction, b""))
            assert segment.mss == ([mtu - HEADERS[family]] if mtu else [])
            assert segment.checksum_right
    assert program.counted(netns, device) == {"syn": 4, "added": 3, "exempt": 1}


@pytest.mark.vm
def test_kept_while_attached(pair):
    """A new limit, another hook, another direction: the rules stay, for all directions; detach takes them away."""
    netns, device, direction = attach(pair, "clsact")
    add_rules(netns, device)
    rules = listed(netns)
    assert rules == {(device, prefix): mtu for family in (4, 6) for prefix, mtu in zip(RULES[family], MTUS[1:])}
    with Behind(pair) as behind, net.Sender(pair.a, "v0") as sender:
        program.attach(netns, device, "--mtu", 1350)
        check_peers(pair, behind, sender, direction, (1350, *MTUS[1:]))
        program.attach(netns, device, "--mtu", 1350, "--hook", "tc", "--direction", "both")
        check_peers(pair, behind, sender, direction, (1350, *MTUS[1:]))
        assert listed(netns) == rules
        assert {key: entry["rules"] for key, entry in program.show(netns).items()} == {
            (device, "egress"): 6, (device, "ingress"): 6}
        program.detach(netns, device)
        check_peers(pair, behind, sender, direction, (None,) * 4)
        program.attach(netns, device, "--mtu", OWN)
        assert listed(netns) == {}
        check_peers(pair, behind, sender, direction, (OWN,) * 4)


def test_second_direction(pair):
    """One that is attached after the rules obeys them."""
    netns, device, _ = attach(pair, "tc", direction="egress")
    other = (pair.b, "v1", "ingress")
    program.attach(*other[:2], "--mtu", OWN)
    add_rules(*other[:2])
    program.attach(*other[:2], "--mtu", OWN, "--direction", "ingress")
    program.detach(netns, device)
    with Behind(pair) as behind, net.Sender(pair.a, "v0") as sender:
        check_peers(pair, behind, sender, "ingress", MTUS)


@pytest.mark.parametrize("attached", (True, False))
def test_an_index_that_comes_again(pair, attached):
    """The rules of an interface that is gone are not those of the next one with its index."""
    index = net.ifindex(pair.a, "v0")
    program.attach(pair.a, "v0", "--mtu", OWN)
    rule(pair.a, "add", "v0", "0.0.0.0/0", "--mtu", 1300)
    net.ip("-n", pair.a, "link", "delete", "v0")
    net.ip("-n", pair.a, "link", "add", "v9", "index", str(index), "type", "veth", "peer", "name", "v8", "netns", pair.b)
    if attached:
        program.attach(pair.a, "v9", "--mtu", OWN)
    result = program.mssbpf("rule", "list", "v9", netns=pair.a)
    if attached:
        program.done(result)
        assert program.show(pair.a)["v9", "egress"]["rules"] == 0
    else:
        program.refused(result, 1, r"^mssbpf: v9: not attached\n$")
        program.refused(program.mssbpf("rule", "add", "v9", "10.0.0.0/8", "--off", netns=pair.a), 1,
                        r"^mssbpf: v9: not attached: 'mssbpf attach v9' first")


def test_interfaces_apart(pair):
    """Each has rules of its own; patterns change several, and pass over what is not attached."""
    pair.join("w0", "w1")
    pair.join("w2", "w3")
    for device in ("v0", "w0"):
        program.attach(pair.a, device, "--mtu", OWN)
    rule(pair.a, "add", "v0", "10.0.0.0/8", "--mtu", 1300)
    rule(pair.a, "add", "w0", "10.0.0.0/8", "--mtu", 1290)
    rule(pair.a, "add", "[vw]?", "::/0", "--mtu", 1280)
    assert listed(pair.a) == {("v0", "10.0.0.0/8"): 1300, ("v0", "::/0"): 1280,
                              ("w0", "10.0.0.0/8"): 1290, ("w0", "::/0"): 1280}
    assert set(listed(pair.a, "w*")) == {("w0", "10.0.0.0/8"), ("w0", "::/0")}
    rule(pair.a, "flush", "v0")
    assert set(listed(pair.a)) == {("w0", "10.0.0.0/8"), ("w0", "::/0")}
    rule(pair.a, "flush", "*")
    assert listed(pair.a) == {}


FILE = """# sites
10.8.0.0/16 mtu 1380
10.8.2.0/23\toff   # no tunnel

2001:db8::/32 mss 1320\r
192.0.2.1 mss 100
"""
FILE_RULES = {"10.8.0.0/16": 1380, "10.8.2.0/23": None, "2001:db8::/32": 1380, "192.0.2.1/32": 140}


def test_load(pair, tmp_path):
    """By file and from standard input; it replaces what was there; what list prints can be loaded."""
    path = tmp_path / "rules"
    path.write_text(FILE, newline="")
    program.attach(pair.a, "v0", "--mtu", OWN)
    rule(pair.a, "add", "v0", "172.16.0.0/12", "--off")
    rule(pair.a, "load", "v0", path)
    wanted = {("v0", prefix): mtu for prefix, mtu in FILE_RULES.items()}
    assert listed(pair.a) == wanted
    plain = program.mssbpf("rule", "list", "v0", "--plain", netns=pair.a)
    assert (plain.status, plain.stdout, plain.stderr) == (0, "# v0: 4\n10.8.0.0/16 mtu 1380\n10.8.2.0/23 off\n"
                                                          "192.0.2.1/32 mss 100\n2001:db8::/32 mtu 1380\n", "")
    rule(pair.a, "flush", "v0")
    assert listed(pair.a) == {}
    rule(pair.a, "load", "v0", "-", stdin=plain.stdout)
    assert listed(pair.a) == wanted
    table = program.mssbpf("rule", "list", netns=pair.a)
    assert (table.status, table.stderr) == (0, "")
    assert [line.split() for line in table.stdout.splitlines()] == [
        ["INTERFACE", "PREFIX", "MTU", "MSS"], ["v0", "10.8.0.0/16", "1380", "1340"], ["v0", "10.8.2.0/23", "off", "off"],
        ["v0", "192.0.2.1/32", "140", "100"], ["v0", "2001:db8::/32", "1380", "1320"]]


BAD_FILES = {
    "empty": (b"", r"no rule in it; 'mssbpf rule flush v0' takes all away"),
    "comments": (b"# 10.0.0.0/8 off\n\n", r"no rule in it"),
    "no limit": (b"10.0.0.0/8 off\n10.1.0.0/16\n", r"line 2: nothing behind the prefix"),
    "range": (b"10.0.0.0/8 mtu 575\n", r"line 1: mtu '575': not a whole number from 576 to 65535"),
    "host bits": (b"10.0.0.0/8 off\n\n10.8.1.0/16 off\n", r"line 3: '10.8.1.0/16' has bits set .*: 10.8.0.0/16 is"),
    "family": (b"10.0.0.0/64 off\n", r"line 1: '10.0.0.0/64': the length of an IPv4 prefix is a number from 0 to 32"),
    "twice": (b"10.0.0.0/8 off\n::/0 off\n10.0.0.0/8 mtu 1380\n", r"line 3: 10.0.0.0/8 stands on line 1 already"),
    "long line": (b"10.0.0.0/8 off\n10.1.0.0/16 " + b" " * 300 + b"off\n", r"line 2: longer than 255 bytes"),
    "one line without end": (b"x" * 100000, r"line 1: longer than 255 bytes"),
    "NUL": (b"10.0.0.0/8 off\n10.1.0.0/16\0 off\n", r"line 2: a byte 0x00"),
    "random": (bytes(random.Random(1).randrange(256) for _ in range(4096)), r"line 1: "),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_file(pair, tmp_path, name):
    """Named by file and line, and the old set stays."""
    content, message = BAD_FILES[name]
    path = tmp_path / "rules"
    path.write_bytes(content)
    program.attach(pair.a, "v0", "--mtu", OWN)
    rule(pair.a, "add", "v0", "172.16.0.0/12", "--off")
    result = program.mssbpf("rule", "load", "v0", path, netns=pair.a)
    program.refused(result, 1, f"^mssbpf: {re.escape(str(path))}: {message}")
    assert len(result.stderr.splitlines()) == 1
    assert listed(pair.a) == {("v0", "172.16.0.0/12"): None}


def test_no_file(pair, tmp_path):
    program.attach(pair.a, "v0", "--mtu", OWN)
    program.refused(program.mssbpf("rule", "load", "v0", tmp_path, netns=pair.a), 1, r": Is a directory\n$")
    program.refused(program.mssbpf("rule", "load", "v0", tmp_path / "no", netns=pair.a), 1, r": No such file or dir")
    program.refused(program.mssbpf("rule", "load", "v0", "-", netns=pair.a, stdin="x\n"), 1,
                    r"^mssbpf: standard input: line 1: 'x': 'x' is no IPv4 or IPv6 address\n$")


@pytest.mark.parametrize("words,message", (
    ((), "add, del, list, load or flush is missing"), (("show",), "'show'.*add, del, list, load, flush"),
    (("add", "v0"), "rule add: takes IFACE PREFIX..."), (("flush",), "rule flush: takes IFACE"),
    (("flush", "v0", "v1"), "rule flush: takes IFACE"), (("load", "v0"), "rule load: takes IFACE FILE"),
    (("load", "v0", "a", "b"), "rule load: takes IFACE FILE"), (("del", "v0"), "rule del: takes IFACE PREFIX..."),
    (("add", "v0", "10.0.0.0/8"), "one of --mtu, --mss and --off"),
    (("add", "v0", "10.0.0.0/8", "--mtu", "1400", "--off"), "one of --mtu, --mss and --off"),
    (("add", "v0", "10.0.0.0/8", "--mtu", "575"), "--mtu '575': not a whole number from 576 to 65535"),
    (("add", "v0", "10.0.0.0/8", "--mss", "0"), "--mss '0': not a whole number from 1 to 65495"),
    (("add", "v0", "::/0", "--mss", "65476"), "--mss 65476: at most 65475 for ::/0"),
    (("add", "v0", "10.8.0.1/16", "--off"), "'10.8.0.1/16' has bits set .*: 10.8.0.0/16 is the prefix, 10.8.0.1/32 the"),
    (("add", "v0", "2001:db8::1/32", "--off"), "2001:db8::/32 is the prefix"),
    (("add", "v0", "10.8/16", "--off"), "'10.8' is no IPv4 or IPv6 address"),
    (("add", "v0", "::/129", "--off"), "'::/129': the length of an IPv6 prefix is a number from 0 to 128"),
    (("add", "v0", "::/0", "::/0", "--off"), "'::/0' stands there twice"),
    (("del", "v0", "10.0.0.0/8", "--off"), "--mtu, --mss and --off go with add"),
    (("list", "--mtu", "1400"), "--mtu, --mss and --off go with add"),
    (("flush", "v0", "--json"), "--json and --plain go with list"), (("list", "--json", "--plain"), "one of --json and"),
), ids=lambda value: " ".join(value) if isinstance(value, tuple) else "")
def test_words(pair, words, message):
    result = program.mssbpf("rule", *words, netns=pair.a)
    program.refused(result, 2, message)
    assert "Try 'mssbpf rule --help'." in result.stderr


def test_refused(pair):
    """What is not attached, not there, or not a rule: said, and nothing changes."""
    hint = r": not attached: 'mssbpf attach {0}' first \(with --mtu none, only its rules count\)\n$"
    for action, *words in (("add", "10.0.0.0/8", "--off"), ("del", "10.0.0.0/8"), ("load", "-"), ("flush",)):
        program.refused(program.mssbpf("rule", action, "v0", *words, netns=pair.a, stdin="::/0 off\n"), 1,
                        "^mssbpf: v0" + hint.format("v0"))
        program.refused(program.mssbpf("rule", action, "v9", *words, netns=pair.a, stdin="::/0 off\n"), 1,
                        "^mssbpf: v9: no such interface\n$")
        program.refused(program.mssbpf("rule", action, "v?", *words, netns=pair.a, stdin="::/0 off\n"), 1,
                        r"^mssbpf: v\?: none of the interfaces that match is attached")
    assert program.pins(pair.a) == []
    program.attach(pair.a, "v0", "--mtu", OWN)
    rule(pair.a, "add", "v0", "10.0.0.0/8", "--mtu", 1300)
    for other in ("10.0.0.0/9", "10.0.0.0/7", "10.0.0.0", "::/0"):
        program.refused(program.mssbpf("rule", "del", "v0", "10.0.0.0/8", other, netns=pair.a), 1,
                        rf"^mssbpf: v0: no rule for exactly {other}(/32)?; 'mssbpf rule list v0' shows those there are\n$")
    assert listed(pair.a) == {("v0", "10.0.0.0/8"): 1300}
    result = program.mssbpf("rule", "list", "v0", "v9", netns=pair.a)
    assert (result.status, result.stderr) == (1, "mssbpf: v9: no such interface\n")
    assert "10.0.0.0/8" in result.stdout


def test_mtu_larger_than_the_device(pair):
    """It is taken, with a warning of the largest, as attach does."""
    program.attach(pair.a, "v0", "--mtu", OWN)
    result = program.mssbpf("rule", "load", "v0", "-", netns=pair.a,
                            stdin="10.0.0.0/8 mtu 1500\n10.1.0.0/16 mtu 1501\n10.2.0.0/16 mtu 9000\n::/0 off\n")
    program.done(result, "", "mssbpf: warning: v0: 10.2.0.0/16 mtu 9000 is larger than its own MTU, 1500: larger packets "
                             "never leave by it\n")
    assert listed(pair.a)["v0", "10.2.0.0/16"] == 9000
    rule(pair.a, "del", "v0", "10.2.0.0/16")


def test_small_mtu_for_ipv6(pair):
    """Legal, with a warning that names one and counts the others."""
    program.attach(pair.a, "v0", "--mtu", OWN)
    result = program.mssbpf("rule", "add", "v0", "fd00::/8", "--mtu", 1279, netns=pair.a)
    assert (result.status, result.stdout) == (0, "")
    assert re.fullmatch(r"mssbpf: warning: fd00::/8 mtu 1279: IPv6 needs 1280 at least \(RFC 8200\).*\n", result.stderr)
    lines = "10.0.0.0/8 mtu 576\n::/0 mtu 1000\nfd00::/8 mss 1000\nfc00::/8 mtu 1279\n2000::/3 mtu 1280\n"
    result = program.mssbpf("rule", "load", "v0", "-", netns=pair.a, stdin=lines)
    assert (result.status, result.stdout) == (0, "")
    assert re.fullmatch(r"mssbpf: warning: ::/0 mtu 1000: .*\nmssbpf: warning: the same goes for 1 more\n", result.stderr)
    assert len(listed(pair.a)) == 5


@pytest.mark.parametrize("hook", (pytest.param("tcx", marks=pytest.mark.tcx), "clsact"))
def test_replaced_while_syns_pass(pair, hook, tmp_path):
    """From one set to another, the first that is made and the last that is gone: each SYN obeys the one or the other."""
    noise = "".join(f"10.{i >> 8}.{i & 255}.0/24 mtu {600 + i % 100}\n" for i in range(2000))
    files = []
    for mtu in (1300, 1290):
        files.append(tmp_path / str(mtu))
        files[-1].write_text(f"{noise}192.0.2.0/24 mtu {mtu}\n::/0 off\n0.0.0.0/0 mtu 700\n")
    program.attach(pair.a, "v0", "--mtu", OWN, "--hook", hook)
    with syns.Syns(pair.a, "v0", pair.b, "v1") as passing:
        assert set(passing.since()) <= {OFFERED, OWN - 40}
        before = OWN - 40
        for turn in range(12):
            rule(pair.a, "load", "v0", files[turn % 2])
            after = (1260, 1250)[turn % 2]
            assert passing.since() == [before, after]
            before = after
        program.attach(pair.a, "v0", "--mtu", 1380)
        assert passing.since() == [before]
        rule(pair.a, "flush", "v0")
        assert passing.since() == [before, 1340]
        rule(pair.a, "add", "v0", "192.0.2.77", "--off")
        assert passing.since() == [1340, OFFERED]
        rule(pair.a, "del", "v0", "192.0.2.77")
        assert passing.since() == [OFFERED, 1340]
        assert passing.passed > 50
