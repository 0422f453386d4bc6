# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What others do in the middle of a command, which stops after a system call until they have done it: interfaces
deleted and made again, filters and programs of others that come and go; and calls that the kernel refuses.

Commands that are killed there are in test_killed.py.
"""
import json

import pytest

import bpf
import faults
import net
import program
from test_hooks import connect, u32
from test_state import link, send_syn

tcx = pytest.mark.tcx
hooks = pytest.mark.parametrize("hook", (pytest.param("tcx", marks=tcx), "clsact"))
INDEX = 1000000  # far from those that the kernel gives out in turn
CALLS = ("bpf", "sendto")


def argv(pair, *words):
    return program.MSSBPF, words[0], "--netns", pair.a, *words[1:]


def described(result, step):
    """The command ended by itself, and if it failed, said so in words."""
    assert result.status in (0, 1), (step, result)
    assert (result.status == 0) == ("mssbpf: " not in result.stderr.replace("mssbpf: warning: ", "")), (step, result)
    assert result.status == 0 or result.stdout == "", (step, result)


def delete(pair):
    net.ip("-n", pair.a, "link", "delete", "x0")


def delete_and_make(pair):
    delete(pair)
    link(pair.a, "x0", index=INDEX)


VERBS = {"attach": ("attach", "x0", "--direction", "both"), "change": ("attach", "x0", "--mtu", "1300"),
         "detach": ("detach", "x0"), "show": ("show",), "stats": ("stats", "--json"), "mtu": ("mtu", "x0")}


@hooks
@pytest.mark.parametrize("deed", (delete, delete_and_make), ids=lambda deed: deed.__name__)
@pytest.mark.parametrize("verb", VERBS)
def test_the_interface_is_deleted(pair, verb, deed, hook):
    """Afterwards nothing is left of it; the one made in its place is attached or not, and told truly."""
    words = (*VERBS[verb], *(("--hook", hook) if verb == "attach" else ()))
    program.attach(pair.a, "v0", "--hook", hook)
    link(pair.a, "x0", index=INDEX)
    attached = verb in ("change", "detach", "show", "stats")
    if attached:
        program.attach(pair.a, "x0", "--mtu", 1400, "--hook", hook)
    steps = faults.steps(argv(pair, *words), CALLS)
    delete(pair)
    for step in steps:
        link(pair.a, "x0", index=INDEX)
        if attached:
            program.attach(pair.a, "x0", "--mtu", 1400, "--hook", hook)
        result = faults.interrupted(step, argv(pair, *words), lambda: deed(pair))
        described(result, step)
        shown = program.show(pair.a)
        if deed is delete:
            assert set(shown) == {("v0", "egress")}, (step, result)
            assert not [pin for pin in program.pins(pair.a) if f"link_{INDEX}_" in pin], (step, result)
            continue
        for direction in ("egress", "ingress"):
            assert sum(program.attached(pair.a, "x0", direction)) == (("x0", direction) in shown), (step, result)
        delete(pair)
    assert set(program.show(pair.a)) == {("v0", "egress")}


@pytest.mark.parametrize("verb", ("attach", "detach"))
def test_a_filter_of_others_comes(pair, verb):
    """At any moment: it survives this command and the next. The kernel cannot be asked to remove a qdisc only if it is
    empty, so that there is one moment in detach, between the look and the removal, when it cannot."""
    attach = argv(pair, "attach", "v0", "--hook", "clsact", "--mtu", "1400", "--direction", "both")
    words = attach if verb == "attach" else argv(pair, "detach", "v0")
    gone = []

    def add():
        net.run("tc", "-n", pair.a, "qdisc", "add", "dev", "v0", "clsact")
        u32(pair, "egress", 9)

    def is_there():
        return any("u32" in line for line in program.filters(pair.a, "v0", "egress"))

    program.done(net.run(*attach))
    for step in faults.steps(words, CALLS):
        program.detach(pair.a, "--all")
        if verb == "detach":
            program.done(net.run(*attach))
        result = faults.interrupted(step, words, add)
        described(result, step)
        if not is_there():
            gone.append(step)
            continue
        if verb == "attach":
            assert (result.status, connect(pair)) == (0, (1360, 1360)), (step, result)
        program.detach(pair.a, "--all")
        assert is_there(), (step, result)
        net.must("tc", "-n", pair.a, "qdisc", "del", "dev", "v0", "clsact")
    assert len(gone) <= (verb == "detach"), gone


@tcx
@hooks
def test_programs_of_others_come_and_go(pair, hook):
    """In TCX, at any moment of attach and detach: all that remain still run."""
    link(pair.a, "x0")
    program.attach(pair.a, "x0")  # so that programs and maps stay
    for words in (("attach", "v0", "--hook", hook, "--mtu", "1400"), ("detach", "v0")):
        program.attach(pair.a, "v0", "--hook", hook, "--mtu", 1400)
        steps = faults.steps(argv(pair, *words), CALLS)
        for step in steps:
            if words[0] == "attach":
                program.detach(pair.a, "v0")
            else:
                program.attach(pair.a, "v0", "--hook", hook, "--mtu", 1400)
            going = bpf.Counter("going")
            going.attach_tcx(pair.a, "v0", "egress")
            staying = bpf.Counter("staying")

            def meanwhile():
                going.close()
                staying.attach_tcx(pair.a, "v0", "egress")

            program.done(faults.interrupted(step, argv(pair, *words), meanwhile))
            assert staying.number in bpf.tcx_programs(pair.a, "v0", "egress"), step
            packets = staying.packets
            assert connect(pair)[0] == (1360 if words[0] == "attach" else 1460), step
            assert staying.packets > packets, step
            staying.close()


@hooks
@pytest.mark.parametrize("error", ("ENOMEM", "ENOSPC"))
def test_no_room(pair, hook, error):
    """A bpffs or a kernel without room at any moment of the first attach: done, or refused with nothing left that the
    next command does not remove."""
    words = argv(pair, "attach", "v0", "--mtu", "1400", "--direction", "both", "--hook", hook)
    calls = tuple(call for call in faults.CALLS if call not in ("?unlink", "?unlinkat", "?rmdir"))
    steps = faults.steps(words, calls, 16)
    program.detach(pair.a, "--all")
    refused = 0
    for step in steps:
        result = faults.refused(step, error, words)
        described(result, step)
        refused += result.status
        # The last thing that it does is not about this interface: the error is told, and the interface is attached.
        expected = int(result.status == 0 or "cannot clean up after interfaces that are gone" in result.stderr)
        for direction in ("egress", "ingress"):
            assert sum(program.attached(pair.a, "v0", direction)) == expected, (step, result)
        assert connect(pair) == ((1360, 1360) if expected else (1460, 1460)), (step, result)
        assert len(program.show(pair.a)) == 2 * expected, (step, result)
        assert bool(program.pins(pair.a)) == bool(expected), (step, result)
        assert program.has_clsact(pair.a, "v0") == (expected and hook == "clsact"), (step, result)
        program.detach(pair.a, "--all")
    assert refused


def test_counters_that_begin_anew(pair):
    """While stats reads them without the lock: what was reset of the old ones is not taken from the new ones."""
    link(pair.a, "x0")
    program.attach(pair.a, "v0", "x0")

    def attach_anew():
        program.detach(pair.a, "v0")
        program.attach(pair.a, "v0")

    words = argv(pair, "stats", "--json", "v0")
    for step in faults.steps(words, ("bpf",), most=1000):
        send_syn(pair)
        program.done(program.mssbpf("stats", "--reset", netns=pair.a))
        result = faults.interrupted(step, words, attach_anew)
        described(result, step)
        assert [row["syn"] for row in json.loads(result.stdout)] in ([], [0]), (step, result)
