# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Commands killed before each system call that changes anything, while SYNs flow.

Afterwards the old limit holds or the new one, the same command again completes the change, and no SYN gets past
unclamped in between. What else may happen in the middle of a command is in test_meanwhile.py.
"""
import json

import pytest

import faults
import net
import program
from syns import OFFERED, Syns
from test_skb import Behind
from test_state import another_build, link

OLD, NEW = 1360, 1260
TCX, CLSACT, NATIVE, GENERIC = (("--hook", "tcx"), ("--hook", "clsact"), ("--hook", "xdp", "--xdp-mode", "native"),
                                ("--hook", "xdp", "--xdp-mode", "generic"))
NAMES = {TCX: "tcx", CLSACT: "clsact", NATIVE: "native", GENERIC: "generic"}
tcx = pytest.mark.tcx


class Killed:
    """A change from one state to another, each given by where it is attached (None: nowhere) and its MTU. The first is
    there before traffic is: the kernel may lose some of that when a clsact qdisc is made (see lossy())."""

    def __init__(self, pair, before, after, device=("v0", "egress")):
        self.pair, self.before, self.after = pair, before, after
        self.namespace = pair.a if device[0] == "v0" else pair.b
        self.device, self.direction = device
        self.old, self.new = OLD if before else OFFERED, NEW if after else OFFERED
        self.restore()

    def words(self, hook, mtu):
        return ("attach", self.device, "--direction", self.direction, "--mtu", str(mtu), *hook)

    def argv(self):
        words = self.words(self.after, 1300) if self.after else ("detach", "--all")
        return (program.MSSBPF, words[0], "--netns", self.namespace, *words[1:])

    def is_whole(self, hook):
        """It is attached at this hook and nowhere else."""
        counts = program.attached(self.namespace, self.device, self.direction)
        assert counts == (int(hook == TCX), int(hook == CLSACT))
        found = program.xdp(self.namespace, self.device)
        assert (found and found[0]) == (NAMES[hook] if hook in (NATIVE, GENERIC) else None)
        assert program.has_clsact(self.namespace, self.device) == (hook == CLSACT)
        assert hook or program.pins(self.namespace) == []

    def restore(self):
        if self.before:
            program.done(program.mssbpf(*self.words(self.before, 1400), netns=self.namespace))
        else:
            program.detach(self.namespace, "--all")

    def possible(self):
        """What may be seen around a command that is killed."""
        found = [[self.old], [self.old, self.new]]
        # A link that is not pinned yet ends with the command.
        return found + ([] if self.before else [[self.old, self.new, self.old]])

    def run(self, syns):
        """Kills at each step and looks; returns how often a command was killed."""
        number = 0
        for step in faults.steps(self.argv()):
            self.restore()
            assert syns.since()[-1] == self.old, step
            number += faults.killed(step, self.argv())
            assert syns.since() in self.possible(), step
            program.done(net.run(*self.argv()))
            assert syns.since() in ([self.old, self.new], [self.new]), step
            self.is_whole(self.after)
        assert number
        return number


CHANGES = [pytest.param(before, after, id=f"{NAMES.get(before, 'nowhere')} to {NAMES.get(after, 'nowhere')}",
                        marks=[tcx] if TCX in (before, after) else [])
           for before, after in ((None, TCX), (None, CLSACT), (TCX, TCX), (CLSACT, CLSACT), (TCX, CLSACT),
                                 (CLSACT, TCX), (TCX, None), (CLSACT, None))]
XDP_CHANGES = [pytest.param(before, after, id=f"{NAMES.get(before, 'nowhere')} to {NAMES.get(after, 'nowhere')}",
                            marks=[tcx] if TCX in (before, after) else [])
               for before, after in ((None, NATIVE), (GENERIC, GENERIC), (NATIVE, GENERIC), (CLSACT, NATIVE),
                                     (NATIVE, TCX), (GENERIC, None))]


def lossy(before, after):
    """The kernel loses packets when a clsact qdisc is made or removed, as well for tc(8): it stops the device's queues
    meanwhile (net/sched/sch_api.c, qdisc_graft())."""
    return before != after and CLSACT in (before, after)


@pytest.mark.parametrize("before,after", CHANGES)
def test_killed(pair, before, after):
    killed = Killed(pair, before, after)
    with Syns(pair.a, "v0", pair.b, "v1", lossy(before, after)) as syns:
        killed.run(syns)


@pytest.mark.parametrize("before,after", XDP_CHANGES)
def test_killed_at_xdp(pair, before, after):
    with Behind(pair):
        killed = Killed(pair, before, after, ("v1", "ingress"))
        with Syns(pair.a, "v0", pair.a, "w0") as syns:
            killed.run(syns)


def keys(namespace, name):
    """What a pinned map has entries of."""
    pin = program.PINS / str(net.inode(namespace)) / name
    return {tuple(entry["key"]) for entry in json.loads(net.must("bpftool", "-j", "map", "dump", "pinned", str(pin)))}


def test_killed_before_an_entry_is_whole(pair):
    """Counters that are left would lead to the order of who comes next."""
    for name in ("x0", "y0"):
        link(pair.a, name)
    program.attach(pair.a, "v0", "--mtu", 1400)
    argv = program.MSSBPF, "attach", "--netns", pair.a, "x0", *CLSACT
    for step in faults.steps(argv, ("bpf",), most=1000)[-20:]:
        program.mssbpf("detach", "x0", netns=pair.a)
        assert faults.killed(step, argv), step
        program.attach(pair.a, "y0", "--mtu", 1300)
        assert keys(pair.a, "counters") == keys(pair.a, "limits"), step
        program.detach(pair.a, "y0")


def test_killed_before_a_program_is_in_its_place(pair):
    """Its draft does not stay, whatever the next command is."""
    net.ip("-n", pair.a, "tuntap", "add", "mode", "tun", "name", "t0")
    program.attach(pair.a, "v0", "--mtu", 1400)
    pinned = program.pins(pair.a)
    argv = program.MSSBPF, "attach", "--netns", pair.a, "t0"
    steps = faults.steps(argv, ("?rename", "?renameat", "?renameat2"))
    assert len(steps) == 1
    for words in (("show",), ("attach", "v0", "--mtu", "1300"), ("detach", "t0")):
        program.detach(pair.a, "--all")
        program.attach(pair.a, "v0", "--mtu", 1400)
        assert faults.killed(steps[0], argv)
        program.loaded.update(program.programs(pair.a))
        program.mssbpf(*words, netns=pair.a)
        assert program.pins(pair.a) == pinned


def sets(namespace):
    """How many elements of the map of rules have a set."""
    pin = program.PINS / str(net.inode(namespace)) / "rules"
    return sum("inner_map_id" in entry or isinstance(entry.get("value"), list)
               for entry in json.loads(net.must("bpftool", "-j", "map", "dump", "pinned", str(pin))))


RULE = "rule", "add", "x0", "192.0.2.0/24", "--off"


@pytest.mark.parametrize("words", (RULE, ("rule", "flush", "x0"), ("detach", "x0")), ids=" ".join)
def test_killed_while_rules_change(pair, words):
    """No set is left that no interface has."""
    def restore():
        program.mssbpf("detach", "x0", netns=pair.a)
        program.attach(pair.a, "x0", "--direction", "both")
        if words != RULE:
            program.done(program.mssbpf("rule", *RULE[1:], netns=pair.a))
        assert sets(pair.a) == (words != RULE)

    link(pair.a, "x0")
    program.attach(pair.a, "v0", "--max-entries", 16)
    restore()
    argv = program.MSSBPF, words[0], "--netns", pair.a, *words[1:]
    for step in faults.steps(argv, ("bpf",), most=1000)[-16:]:
        restore()
        faults.killed(step, argv)
        program.mssbpf("detach", "x0", netns=pair.a)
        assert sets(pair.a) == 0, step


@pytest.mark.parametrize("hook", (pytest.param(TCX, marks=tcx), CLSACT), ids=NAMES.get)
def test_killed_while_another_build_takes_over(pair, tmp_path, hook):
    """The programs of the older one go on until those of the newer are in their place."""
    builds = [str(another_build(tmp_path)), program.MSSBPF]
    link(pair.a, "x0")
    program.attach(pair.a, "v0", "--mtu", 1400, *hook)
    with Syns(pair.a, "v0", pair.b, "v1") as syns:
        for step in faults.steps((builds[0], "attach", "--netns", pair.a, "x0", *hook)):
            builds.reverse()
            argv = builds[0], "attach", "--netns", pair.a, "x0", *hook
            before = program.show(pair.a)["v0", "egress"]["program_id"]
            faults.killed(step, argv)
            program.done(net.run(*argv))
            program.loaded.update(program.programs(pair.a))
            assert syns.since() == [OLD], step
            after = program.show(pair.a)
            assert after["v0", "egress"]["program_id"] != before and ("x0", "egress") in after, step
            assert sum(program.attached(pair.a, "v0", "egress")) == 1


@pytest.mark.parametrize("hook", (pytest.param(TCX, marks=tcx), CLSACT), ids=NAMES.get)
def test_limits_changed_again_and_again(pair, hook):
    """Every SYN leaves with the one limit or the other, and is counted."""
    program.attach(pair.a, "v0", "--mtu", 1300, *hook)
    with Syns(pair.a, "v0", pair.b, "v1") as syns:
        for mtu in (1400, 1300) * (2500 if faults.LONG else 100):
            program.attach(pair.a, "v0", "--mtu", mtu)
        seen = syns.since()
    assert set(seen) == {OLD, NEW} and len(seen) > 20
    assert program.counted(pair.a, "v0") == {"syn": syns.passed, "clamped": syns.passed}
