# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Attach and detach beside programs, filters and qdiscs of others: theirs survive and go on running.

What is clamped is not looked at closely here.
"""
import socket

import pytest

import bpf
import net
import program

tcx = pytest.mark.tcx
hooks = pytest.mark.parametrize("hook", (pytest.param("tcx", marks=tcx), "clsact"))
directions = pytest.mark.parametrize("direction", ("egress", "ingress"))
PIN = "/sys/fs/bpf/mssbpf-e2e-foreign"


def clsact(pair):
    net.must("tc", "-n", pair.a, "qdisc", "add", "dev", "v0", "clsact")


def u32(pair, direction, priority):
    """A filter of somebody else that is no BPF program."""
    net.must("tc", "-n", pair.a, "filter", "add", "dev", "v0", direction, "protocol", "ip", "prio", str(priority),
             "u32", "match", "ip", "dst", "192.0.2.77/32", "flowid", "1:1")


def connect(pair):
    """One connection from a to b; returns the MSS that b was told and the one that a was told."""
    target = pair.addresses[4][1]
    with net.listener(pair.b, socket.AF_INET, target) as server, \
            net.connected(pair.a, socket.AF_INET, target, server.getsockname()[1]) as client:
        accepted, _ = server.accept()
        with accepted:
            # Timestamps take 12 of what may be sent.
            return tuple(end.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) + 12 for end in (accepted, client))


@hooks
@directions
def test_attach_and_detach_alone(pair, hook, direction):
    program.attach(pair.a, "v0", "--mtu", 1400, "--hook", hook, "--direction", direction)
    assert connect(pair) == ((1360, 1460) if direction == "egress" else (1460, 1360))
    entry = program.show(pair.a)["v0", direction]
    assert entry["hook"] == hook
    assert program.attached(pair.a, "v0", direction) == ((1, 0) if hook == "tcx" else (0, 1))
    assert program.has_clsact(pair.a, "v0") == (hook == "clsact")
    program.detach(pair.a, "v0")
    assert program.attached(pair.a, "v0", direction) == (0, 0)
    assert not program.has_clsact(pair.a, "v0")
    assert connect(pair) == (1460, 1460)


@tcx
def test_tcx_is_chosen_where_the_kernel_has_it(pair):
    program.attach(pair.a, "v0")
    assert program.show(pair.a)["v0", "egress"]["hook"] == "tcx"


@hooks
@directions
@tcx
def test_foreign_tcx_programs(pair, hook, direction):
    """One attached before ours, one after; both still run, in place and order, with and without ours."""
    first = bpf.Counter("foreign_first")
    first.attach_tcx(pair.a, "v0", direction)
    program.attach(pair.a, "v0", "--mtu", 1400, "--hook", hook, "--direction", direction)
    second = bpf.Counter("foreign_second")
    second.attach_tcx(pair.a, "v0", direction)
    order = bpf.tcx_programs(pair.a, "v0", direction)
    assert len(order) == (3 if hook == "tcx" else 2)
    counts = first.packets, second.packets
    assert 1360 in connect(pair)
    assert first.packets > counts[0] and second.packets > counts[1]

    ours = program.show(pair.a)["v0", direction]["program_id"]
    program.detach(pair.a, "--all")
    assert bpf.tcx_programs(pair.a, "v0", direction) == [number for number in order if number != ours]
    counts = first.packets, second.packets
    assert connect(pair) == (1460, 1460)
    assert first.packets > counts[0] and second.packets > counts[1]
    for foreign in (first, second):
        foreign.close()


@tcx
@directions
def test_a_verdict_of_another_does_not_switch_us_off(pair, direction):
    """A program that was there first accepts every packet, which ends the chain: ours has run before."""
    foreign = bpf.Counter("foreign_pass", bpf.PASS)
    foreign.attach_tcx(pair.a, "v0", direction)
    program.attach(pair.a, "v0", "--mtu", 1400, "--direction", direction)
    assert 1360 in connect(pair)
    assert foreign.packets
    foreign.close()


@hooks
@directions
def test_foreign_filters(pair, hook, direction):
    """Filters before and after ours, of BPF and of another kind, in a qdisc that was there before."""
    clsact(pair)
    first, last = bpf.Counter("foreign_first"), bpf.Counter("foreign_last")
    first.attach_filter(pair.a, "v0", direction, PIN, "prio", "1")
    u32(pair, direction, 5)
    before = program.filters(pair.a, "v0", direction)
    program.attach(pair.a, "v0", "--mtu", 1400, "--hook", hook, "--direction", direction)
    last.attach_filter(pair.a, "v0", direction, PIN, "prio", "50000")
    counts = first.packets, last.packets
    assert 1360 in connect(pair)
    assert first.packets > counts[0]
    assert last.packets > counts[1]  # our verdict lets the ones behind us run

    program.detach(pair.a, "v0")
    assert program.has_clsact(pair.a, "v0")
    after = program.filters(pair.a, "v0", direction)
    assert [line for line in after if "foreign_last" not in line and "50000" not in line] == before
    assert any("foreign_last" in line for line in after)
    counts = first.packets, last.packets
    assert connect(pair) == (1460, 1460)
    assert first.packets > counts[0] and last.packets > counts[1]
    for foreign in (first, last):
        foreign.close()


@hooks
def test_a_qdisc_that_was_there_stays(pair, hook):
    clsact(pair)
    program.attach(pair.a, "v0", "--hook", hook, "--direction", "both")
    program.detach(pair.a, "v0")
    assert program.has_clsact(pair.a, "v0")


def test_our_qdisc_stays_while_somebody_uses_it(pair):
    """We made clsact, another put a filter into it, and that filter outlives us."""
    program.attach(pair.a, "v0", "--hook", "clsact")
    u32(pair, "ingress", 5)
    program.detach(pair.a, "v0")
    assert program.has_clsact(pair.a, "v0")
    assert any("u32" in line for line in program.filters(pair.a, "v0", "ingress"))
    assert program.our_filters(pair.a, "v0", "egress") == []


def test_both_directions_share_one_qdisc(pair):
    """Detaching removes the qdisc we made only with the last of ours in it."""
    program.attach(pair.a, "v0", "--hook", "clsact", "--direction", "egress")
    program.attach(pair.a, "v0", "--hook", "clsact", "--direction", "both")
    assert program.attached(pair.a, "v0", "egress") == (0, 1)
    assert program.attached(pair.a, "v0", "ingress") == (0, 1)
    program.detach(pair.a, "v0")
    assert not program.has_clsact(pair.a, "v0")


def test_a_filter_in_our_place(pair):
    """Somebody else's filter has the priority and handle that ours would take: it stays what it is."""
    program.attach(pair.a, "v0", "--hook", "clsact")
    words = program.our_filters(pair.a, "v0", "egress")[-1].split()
    priority, handle = words[words.index("pref") + 1], words[words.index("handle") + 1]
    program.detach(pair.a, "v0")
    clsact(pair)
    foreign = bpf.Counter("foreign")
    foreign.attach_filter(pair.a, "v0", "egress", PIN, "prio", priority, "handle", handle)
    before = program.filters(pair.a, "v0", "egress")

    result = program.mssbpf("attach", "v0", "--hook", "clsact", netns=pair.a)
    assert result.status == 1, result
    assert "v0" in result.stderr and result.stdout == ""
    assert program.filters(pair.a, "v0", "egress") == before
    assert program.show(pair.a) == {}
    program.detach(pair.a, "--all")
    assert program.filters(pair.a, "v0", "egress") == before
    foreign.close()


@tcx
def test_moving_from_one_hook_to_the_other(pair):
    """--hook on an attached interface moves it: limits and counters stay, nothing is attached twice."""
    for hook, expected in (("clsact", (0, 1)), ("tcx", (1, 0)), ("clsact", (0, 1))):
        program.attach(pair.a, "v0", "--mtu", 1400, "--hook", hook)
        assert program.attached(pair.a, "v0", "egress") == expected
        assert program.show(pair.a)["v0", "egress"]["hook"] == hook
        assert connect(pair) == (1360, 1460)
    assert program.counted(pair.a, "v0") == {"syn": 3, "clamped": 3}
    program.detach(pair.a, "v0")
    assert not program.has_clsact(pair.a, "v0")


@tcx
def test_attach_again_stays_on_its_hook(pair):
    """Without --hook, an attached interface stays where it is."""
    program.attach(pair.a, "v0", "--hook", "clsact")
    program.attach(pair.a, "v0", "--mtu", 1300)
    entry = program.show(pair.a)["v0", "egress"]
    assert (entry["hook"], entry["mtu"]) == ("clsact", 1300)
    assert program.attached(pair.a, "v0", "egress") == (0, 1)


@hooks
@directions
def test_what_was_removed_behind_our_back(pair, hook, direction):
    """An administrator took our filter or link away: `show` no longer claims it, attach puts it back."""
    options = ("v0", "--mtu", 1400, "--hook", hook, "--direction", direction)
    program.attach(pair.a, *options)
    for shown_before in (True, False):
        if hook == "clsact":
            net.must("tc", "-n", pair.a, "qdisc", "del", "dev", "v0", "clsact")
        else:
            link, = (pin for pin in program.pins(pair.a) if f"link_{net.ifindex(pair.a, 'v0')}_" in pin)
            net.must("bpftool", "link", "detach", "pinned", link)
        assert program.attached(pair.a, "v0", direction) == (0, 0)
        if shown_before:
            assert program.show(pair.a) == {}
        program.attach(pair.a, *options)
        assert sum(program.attached(pair.a, "v0", direction)) == 1
        assert set(program.show(pair.a)) == {("v0", direction)}
        assert 1360 in connect(pair)
    program.detach(pair.a, "v0")
    assert not program.has_clsact(pair.a, "v0")


def test_a_filter_that_took_our_place(pair):
    """Somebody replaced our filter by his: detach leaves it, and the qdisc it needs."""
    program.attach(pair.a, "v0", "--hook", "clsact")
    words = program.our_filters(pair.a, "v0", "egress")[-1].split()
    priority, handle = words[words.index("pref") + 1], words[words.index("handle") + 1]
    net.must("tc", "-n", pair.a, "filter", "del", "dev", "v0", "egress", "prio", priority)
    foreign = bpf.Counter("foreign")
    foreign.attach_filter(pair.a, "v0", "egress", PIN, "prio", priority, "handle", handle)
    before = program.filters(pair.a, "v0", "egress")
    assert program.show(pair.a) == {}
    program.detach(pair.a, "--all")
    assert program.filters(pair.a, "v0", "egress") == before
    foreign.close()


@directions
def test_an_ingress_qdisc_in_the_place_of_clsact(pair, direction):
    """It has no egress side: what cannot be clamped there is refused, and nothing is shown as clamped."""
    net.must("tc", "-n", pair.a, "qdisc", "add", "dev", "v0", "ingress")
    result = program.mssbpf("attach", "v0", "--mtu", 1400, "--hook", "clsact", "--direction", direction, netns=pair.a)
    if direction == "egress":
        program.refused(result, 1, r"^mssbpf: v0: .*ingress")
        assert program.show(pair.a) == {}
        assert program.our_filters(pair.a, "v0", "ingress") == []
    elif result.status == 0:
        assert connect(pair) == (1460, 1360)
    assert "qdisc ingress" in net.must("tc", "-n", pair.a, "qdisc", "show", "dev", "v0")
    program.detach(pair.a, "--all")
    assert "qdisc ingress" in net.must("tc", "-n", pair.a, "qdisc", "show", "dev", "v0")
