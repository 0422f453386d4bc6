# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Patterns for names, and many interfaces in one call: all of them, each once, and nothing left of any.

How long it takes is tests/bench/scale.py's.
"""
import fcntl
import os
import random
import struct
import subprocess
import time

import pytest

import bpf
import net
import program
from test_hooks import PIN, clsact, connect

TUNSETIFF, TUNSETLINK = 0x400454CA, 0x400454CD
IFF_TUN, IFF_NO_PI, ARPHRD_CAN = 0x0001, 0x1000, 280


def make(pair, names):
    """Interfaces of these names, on v0."""
    lines = "".join(f"link add link v0 name {name} type macvlan\n" for name in names)
    net.must("ip", "-n", pair.a, "-batch", "-", stdin=lines, timeout=60)


def remove(pair, names):
    net.must("ip", "-n", pair.a, "-batch", "-", stdin="".join(f"link del {name}\n" for name in names), timeout=60)


def qdiscs(pair):
    """The interfaces that have a clsact qdisc."""
    lines = net.must("tc", "-n", pair.a, "qdisc", "show").splitlines()
    return {line.split()[line.split().index("dev") + 1] for line in lines if " clsact " in line}


def names_of(shown):
    return {name for name, _ in shown}


@pytest.mark.parametrize("pattern,expected", (
    ("x*", {"x1", "x2", "x10"}), ("x?", {"x1", "x2"}), ("x[2-9]", {"x2"}), ("x[!2]*", {"x1", "x10"}),
    ("*", {"x1", "x2", "x10", "y1", "v0"}), (r"x\1", {"x1"})))
def test_what_a_pattern_matches(pair, pattern, expected):
    make(pair, ("x1", "x2", "x10", "y1"))
    program.attach(pair.a, pattern, "--mtu", 1400)
    assert names_of(program.show(pair.a)) == expected
    assert names_of(program.show(pair.a, pattern)) == expected
    program.detach(pair.a, pattern)
    assert program.show(pair.a) == {}


def test_words_that_meet(pair):
    """Named and matched twice over: each interface once, and in the order of the indexes."""
    make(pair, ("x3", "x1", "x2"))
    program.attach(pair.a, "x*", "x2", "x[12]", "v0", "x2", "--mtu", 1400, "--direction", "both")
    lines = net.must(program.MSSBPF, "show", "-n", pair.a, "x2", "x*").splitlines()[1:]
    assert [tuple(line.split()[:2]) for line in lines] == [
        (name, direction) for name in ("x3", "x1", "x2") for direction in ("egress", "ingress")]
    assert len(program.show(pair.a)) == 8
    assert program.attached(pair.a, "x2", "egress") == program.attached(pair.a, "x3", "ingress")
    assert sum(program.attached(pair.a, "x2", "egress")) == 1


def test_a_name_that_is_a_pattern(pair):
    """An interface of that very name is meant first."""
    make(pair, ("x*", "x1", "[x]"))
    program.attach(pair.a, "x*", "[x]")
    assert names_of(program.show(pair.a)) == {"x*", "[x]"}
    program.attach(pair.a, r"x\*", "x?")
    assert names_of(program.show(pair.a)) == {"x*", "[x]", "x1"}
    program.detach(pair.a, "x*")
    assert names_of(program.show(pair.a)) == {"[x]", "x1"}


def test_alternative_names_do_not_match(pair):
    make(pair, ("x1",))
    net.ip("-n", pair.a, "link", "property", "add", "dev", "x1", "altname", "uplink1")
    program.refused(program.mssbpf("attach", "uplink?", netns=pair.a), 1, r"^mssbpf: uplink\?: no interface")


def test_a_pattern_that_matches_nothing(pair):
    """It is named, and what the other words mean is done."""
    make(pair, ("x1",))
    result = program.mssbpf("attach", "ppp*", "x*", netns=pair.a)
    assert (result.status, result.stdout) == (1, "")
    assert result.stderr == "mssbpf: ppp*: no interface has a name that matches\n"
    assert names_of(program.show(pair.a)) == {"x1"}
    for verb in ("show", "stats", "detach"):
        result = program.mssbpf(verb, "x*", "ppp*", netns=pair.a)
        assert result.status == 1 and result.stderr == "mssbpf: ppp*: no interface has a name that matches\n"
        assert ("x1" in result.stdout) == (verb != "detach")
    assert program.show(pair.a) == {}
    for verb in ("show", "stats", "detach"):
        program.refused(program.mssbpf(verb, "x*", netns=pair.a), 1, r"^mssbpf: x\*: none .* is attached")


def test_loopback_matches_no_pattern(pair):
    program.refused(program.mssbpf("attach", "l*", netns=pair.a), 1, r"^mssbpf: l\*: no interface")
    program.refused(program.mssbpf("attach", "lo", netns=pair.a), 1, r"^mssbpf: lo: the loopback")
    program.attach(pair.a, "*")
    assert names_of(program.show(pair.a)) == {"v0"}


@pytest.fixture
def can(pair):
    """An interface c0 whose packets are no IP packets."""
    if not os.path.exists("/dev/net/tun"):
        pytest.skip("no /dev/net/tun")
    with net.entered(pair.a):
        descriptor = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", b"c0", IFF_TUN | IFF_NO_PI))
    fcntl.ioctl(descriptor, TUNSETLINK, ARPHRD_CAN)
    yield "c0"
    os.close(descriptor)


def test_what_cannot_be_clamped(pair, can):
    """Named, it is an error; matched, it is left out and told."""
    make(pair, ("c1",))
    program.refused(program.mssbpf("attach", can, netns=pair.a), 1, f"^mssbpf: {can}: link type {ARPHRD_CAN}")
    program.refused(program.mssbpf("attach", "c0*", netns=pair.a), 1, r"mssbpf: c0\*: none .* can be clamped")
    result = program.mssbpf("attach", "c*", "--mtu", 1400, netns=pair.a)
    assert (result.status, result.stdout) == (0, "")
    assert result.stderr.startswith("mssbpf: warning: left out 1 of the interfaces that match") and can in result.stderr
    assert names_of(program.show(pair.a)) == {"c1"}
    result = program.mssbpf("attach", "c*", can, "--mtu", 1400, netns=pair.a)
    assert result.status == 1 and result.stderr.startswith(f"mssbpf: {can}: link type"), result


@pytest.mark.tcx
def test_few_are_attached_by_tcx_and_many_by_clsact(pair):
    """More than 64 new ones go to clsact; what is attached stays where it is."""
    names = [f"x{number}" for number in range(75)]
    make(pair, names)
    program.attach(pair.a, "x?", "--mtu", 1400)
    assert {entry["hook"] for entry in program.show(pair.a).values()} == {"tcx"}
    assert qdiscs(pair) == set()
    program.attach(pair.a, "x*", "--mtu", 1300)
    shown = program.show(pair.a)
    assert {(len(name), entry["hook"], entry["mtu"]) for (name, _), entry in shown.items()} == {
        (2, "tcx", 1300), (3, "clsact", 1300)}
    assert len(shown) == 75 and qdiscs(pair) == set(names[10:])
    program.detach(pair.a, "--all")
    assert qdiscs(pair) == set()


@pytest.mark.tcx
def test_many_of_which_one_has_a_tcx_program(pair):
    """It would run ahead of clsact and may end the chain: there, ours goes to TCX, ahead of it."""
    make(pair, [f"x{number}" for number in range(70)])
    foreign = bpf.Counter("foreign_pass", bpf.PASS)
    foreign.attach_tcx(pair.a, "v0", "egress")
    program.attach(pair.a, "*", "--mtu", 1400)
    shown = program.show(pair.a)
    assert {name for (name, _), entry in shown.items() if entry["hook"] == "tcx"} == {"v0"}
    assert len(shown) == 71
    assert connect(pair)[0] == 1360
    program.detach(pair.a, "--all")
    foreign.close()


def test_many(pair):
    """200 interfaces, both directions, changed in place and taken off again."""
    names = [f"x{number}" for number in range(200)]
    make(pair, names)
    for mtu in (1400, 1300):
        program.attach(pair.a, "x*", "--mtu", mtu, "--direction", "both")
        shown = program.show(pair.a)
        assert set(shown) == {(name, direction) for name in names for direction in ("egress", "ingress")}
        assert {(entry["mss4"], entry["mss6"]) for entry in shown.values()} == {(mtu - 40, mtu - 60)}
    for name in ("x0", "x77", "x199"):
        assert sum(program.attached(pair.a, name, "egress")) == sum(program.attached(pair.a, name, "ingress")) == 1
    assert qdiscs(pair) == set(names)
    result = program.mssbpf("stats", "--json", "x1?", "v0", netns=pair.a)
    assert (result.status, result.stderr) == (1, "mssbpf: v0: not attached\n")
    assert result.stdout.count('"interface"') == 20
    remove(pair, names[:50])
    assert len(program.show(pair.a)) == 300
    program.detach(pair.a, "x1*")
    assert len(names_of(program.show(pair.a))) == 50
    program.detach(pair.a, "x*")
    assert qdiscs(pair) == set()
    assert program.pins(pair.a) == []


def test_one_of_many_that_fails(pair):
    """Somebody else's filter is in our place on one: it is named and left alone, the others are attached."""
    names = [f"x{number}" for number in range(40)]
    make(pair, names)
    program.attach(pair.a, "v0", "--hook", "clsact")
    words = program.our_filters(pair.a, "v0", "egress")[-1].split()
    place = "prio", words[words.index("pref") + 1], "handle", words[words.index("handle") + 1]
    program.detach(pair.a, "v0")
    clsact(pair)
    foreign = bpf.Counter("foreign")
    foreign.attach_filter(pair.a, "v0", "egress", PIN, *place)
    before = program.filters(pair.a, "v0", "egress")
    result = program.mssbpf("attach", "*", "--hook", "clsact", "--mtu", 1400, netns=pair.a)
    program.refused(result, 1, "^mssbpf: v0: another program's filter")
    assert names_of(program.show(pair.a)) == set(names)
    program.detach(pair.a, "--all")
    assert program.filters(pair.a, "v0", "egress") == before
    assert qdiscs(pair) == {"v0"}
    foreign.close()


@pytest.mark.parametrize("hook", (pytest.param("tcx", marks=pytest.mark.tcx), "clsact"))
def test_many_at_both_hooks_are_listed_truly(pair, hook):
    """Qdiscs and links of some are taken away, some get an `ingress` qdisc in the place: show tells what is left."""
    names = [f"x{number}" for number in range(12)]
    make(pair, names)
    program.attach(pair.a, "x?", "--hook", "clsact", "--direction", "both")
    program.attach(pair.a, "x1?", "--hook", hook, "--direction", "both")
    for name in names[:3]:
        net.must("tc", "-n", pair.a, "qdisc", "del", "dev", name, "clsact")
        net.must("tc", "-n", pair.a, "qdisc", "add", "dev", name, "ingress")
    result = net.must("tc", "-n", pair.a, "filter", "show", "dev", "x3", "ingress").splitlines()
    priority = [line.split()[line.split().index("pref") + 1] for line in result if "mssbpf_" in line][0]
    net.must("tc", "-n", pair.a, "filter", "del", "dev", "x3", "egress", "prio", priority)
    shown = program.show(pair.a)
    expected = {(name, direction) for name in names[3:] for direction in ("egress", "ingress")} - {("x3", "egress")}
    assert set(shown) == expected
    assert {entry["hook"] for (name, _), entry in shown.items() if len(name) == 3} == {hook}
    program.attach(pair.a, "x0", "--hook", "clsact", "--direction", "ingress")
    assert set(program.show(pair.a)) == expected | {("x0", "ingress")}


def test_many_killed_in_the_middle(pair):
    """Whatever a call over many was at, the next ones understand and remove it."""
    names = [f"x{number}" for number in range(70)]
    make(pair, names)
    rng = random.Random(1)
    for _ in range(20):
        verb, *options = rng.choice((("attach", "x*", "--hook", "clsact", "--direction", "both", "--mtu", "1400"),
                                     ("detach", "x*")))
        process = subprocess.Popen([program.MSSBPF, verb, "--netns", pair.a, *options], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        time.sleep(rng.random() * 0.06)
        process.kill()
        process.wait(timeout=30)
    program.attach(pair.a, "x*", "--hook", "clsact", "--direction", "both", "--mtu", 1300)
    assert len(program.show(pair.a)) == 140
    program.detach(pair.a, "--all")
    assert qdiscs(pair) == set()
    assert program.pins(pair.a) == []


def test_some_of_many_go_meanwhile(pair):
    """What a pattern matched and is gone when its turn comes is no failure."""
    for _ in range(2):
        names = [f"x{number}" for number in range(70)]
        make(pair, names)
        process = subprocess.Popen([program.MSSBPF, "attach", "--netns", pair.a, "x*", "--mtu", "1400"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        remove(pair, names[60:])
        assert (*process.communicate(timeout=30), process.returncode) == ("", "", 0)
        assert names_of(program.show(pair.a)) == set(names[:60])
        program.detach(pair.a, "--all")
        remove(pair, names[:60])


def test_detection_for_many(pair):
    """Without numbers, what many stand on is looked at once, and each gets what fits through it."""
    net.ip("-n", pair.a, "link", "set", "v0", "mtu", "1450")
    make(pair, [f"x{number}" for number in range(20)])
    net.ip("-n", pair.a, "link", "set", "x7", "mtu", "1400")
    program.attach(pair.a, "x*")
    limits = {name: (entry["mtu"], entry["source"].split(":")[0]) for (name, _), entry in program.show(pair.a).items()}
    assert limits.pop("x7")[0] == 1400
    assert set(limits.values()) == {(1450, "computed")}


def test_a_detection_that_fails_names_each(pair):
    """Two stand on one that cannot be followed: all are told, and a third is attached."""
    net.ip("-n", pair.a, "link", "add", "t0", "type", "vxlan", "id", "7", "dstport", "4789", "remote", "198.51.100.99",
           "local", "192.0.2.1")
    for name in ("x1", "x2"):
        net.ip("-n", pair.a, "link", "add", "link", "t0", "name", name, "type", "macvlan")
    make(pair, ("x3",))
    result = program.mssbpf("attach", "x*", netns=pair.a)
    assert (result.status, result.stdout) == (1, ""), result
    lines = result.stderr.splitlines()
    assert len(lines) == 2 and all("t0" in line for line in lines), result
    assert names_of(program.show(pair.a)) == {"x3"}


def test_two_that_lead_through_each_other(pair):
    """What was found while one of them was being followed does not count for the other."""
    for name, number, mtu in (("t1", 1, 1300), ("t2", 2, 1400)):
        net.ip("-n", pair.a, "link", "add", name, "mtu", str(mtu), "type", "vxlan", "id", str(number), "dstport", "4789",
               "remote", f"198.51.100.{number}", "local", "192.0.2.1")
        net.ip("-n", pair.a, "link", "set", name, "up")
    net.ip("-n", pair.a, "route", "add", "198.51.100.1", "dev", "t2")
    net.ip("-n", pair.a, "route", "add", "198.51.100.2", "dev", "t1")
    for words in (("t1",), ("t2",)):
        assert program.mssbpf("attach", *words, netns=pair.a).status == 0
    apart = {name: entry["mtu"] for (name, _), entry in program.show(pair.a).items()}
    program.detach(pair.a, "--all")
    assert program.mssbpf("attach", "t?", netns=pair.a).status == 0
    assert {name: entry["mtu"] for (name, _), entry in program.show(pair.a).items()} == apart
