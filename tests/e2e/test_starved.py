# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Commands that get too little: memory, file descriptors, locked memory, a bpffs that takes nothing.

Each is done or refused in words, and what was attached before stays as it was; or the kernel kills it for its memory,
and the same command again completes what it began.
"""
import ipaddress
import re

import pytest

import faults
import memory
import net
import program
from test_hooks import connect
from test_surroundings import without_bpffs

CHANGE = ("attach", "v0", "--mtu", "1300", "--direction", "both")
VERBS = (CHANGE, ("show", "--json"), ("stats",), ("mtu", "v0"), ("detach", "v0"))


def limited(pair, limit, words):
    return net.run("prlimit", limit, program.MSSBPF, words[0], "--netns", pair.a, *words[1:])


def check(pair, result, words):
    """Done, or refused with the old state in place and in force."""
    entry = program.show(pair.a).get(("v0", "egress"))
    if result.status == 0:
        assert not re.search("^mssbpf: (?!warning)", result.stderr), result
        assert entry is None if words[0] == "detach" else entry["mtu"] == (1300 if words is CHANGE else 1400), result
    else:
        assert (result.status, result.stdout) == (1, ""), result
        # Behind what libraries have to say of their own.
        assert re.search("^mssbpf: ", result.stderr, re.MULTILINE), result
        assert words[0] == "detach" or entry["mtu"] == 1400, result
    for direction in ("egress", "ingress"):
        shown = ("v0", direction) in program.show(pair.a)
        assert sum(program.attached(pair.a, "v0", direction)) == shown, result


def starve(pair, words, limits):
    """Runs the command under each of the limits; returns how often it was refused and done."""
    ended = {0: 0, 1: 0}
    for limit in limits:
        program.attach(pair.a, "v0", "--mtu", 1400)
        result = limited(pair, limit, words)
        if re.search("error while loading shared libraries|^prlimit: failed to execute", result.stderr) or \
                result.status == -11 and not result.stderr:
            continue  # the dynamic loader had too little, or the kernel to execute it
        check(pair, result, words)
        ended[result.status] += 1
    return ended[1], ended[0]


@pytest.mark.parametrize("words", VERBS, ids=lambda words: words[0])
def test_few_file_descriptors(pair, words):
    refused, done = starve(pair, words, (f"--nofile={number}" for number in range(4, 30, 1 if faults.LONG else 3)))
    assert done and (refused or words[0] == "mtu")  # which takes few


@pytest.mark.parametrize("words", VERBS[:2], ids=lambda words: words[0])
def test_little_address_space(pair, words):
    step = 16 if faults.LONG else 400
    _, done = starve(pair, words, (f"--as={kilobytes << 10}" for kilobytes in range(7000, 12000, step)))
    assert done


@pytest.fixture
def group(pair, tmp_path):
    program.attach(pair.a, "v0")  # what is read of the program's file counts where that happens first
    program.detach(pair.a, "--all")
    with memory.group(tmp_path) as made:
        yield made


def check_words(result):
    """Killed, done without a word, or refused in words."""
    assert result.status in (memory.KILLED, 0, 1) and result.stdout == "", result
    assert result.stderr.startswith("mssbpf: ") == (result.status == 1), result


def sizes(first, last):
    """Limits of memory, each larger than the one before by the same factor."""
    while first < last:
        yield first
        first = int(first * (1.05 if faults.LONG else 2))


@pytest.mark.parametrize("words,old,new", (pytest.param(("attach", "v0", "--mtu", "1300"), 1460, 1260, id="attach",
                                                        marks=(pytest.mark.vm, pytest.mark.vm_long)),
                                           pytest.param(CHANGE, 1360, 1260, id="change"),
                                           pytest.param(("detach", "v0"), 1360, 1460, id="detach")))
def test_little_memory(pair, group, words, old, new):
    """For the command, and for what the kernel keeps for it: it is killed, or refused in words, or done."""
    argv = program.MSSBPF, words[0], "--netns", pair.a, *words[1:]
    possible = {memory.KILLED: (old, new), 0: (new,), 1: (old,)}
    seen = set()
    for size in sizes(500_000, 40_000_000):
        if old == 1360:
            program.attach(pair.a, "v0", "--mtu", 1400)
        result = group.run(size, *argv)
        seen.add(result.status)
        check_words(result)
        assert connect(pair)[0] in possible[result.status], (size, result)
        program.loaded.update(program.programs(pair.a))
        again = program.mssbpf(*words, netns=pair.a)
        assert again.status == 0 or (words[0] == "detach" and "not attached" in again.stderr), (size, again)
        assert connect(pair)[0] == new, (size, again)
        program.detach(pair.a, "--all")
        assert program.pins(pair.a) == [] and program.attached(pair.a, "v0", "egress") == (0, 0), (size, result)
    assert {memory.KILLED, 0} <= seen


@pytest.mark.vm(old=True)
def test_maps_larger_than_memory(pair, group):
    """Linux 5.11 and later count maps."""
    argv = program.MSSBPF, "attach", "--netns", pair.a, "v0", "--max-entries", "1048576"
    result = group.run(24 << 20, *argv)
    if program.at_least(5, 11):
        program.refused(result, 1, "memory.*--max-entries takes less")
        assert program.pins(pair.a) == [] and connect(pair) == (1460, 1460)
    else:
        program.done(result)
    program.attach(pair.a, "v0", "--max-entries", 1048576)


def test_rules_larger_than_memory(pair, group):
    """The old ones stay until there is room."""
    program.attach(pair.a, "v0", "--mtu", 1400)
    program.done(program.mssbpf("rule", "add", "v0", "10.0.0.0/8", "--mtu", "1300", netns=pair.a))
    file = group.folder.parent.parent / "rules"
    first = int(ipaddress.ip_address("10.0.0.0"))
    file.write_text("".join(f"{ipaddress.ip_address(first + 2 * number)} mtu 1{number % 5}00\n"
                            for number in range(100000)))
    argv = program.MSSBPF, "rule", "load", "--netns", pair.a, "v0", str(file)
    seen = set()
    for size in sizes(500_000, 100_000_000):
        result = group.run(size, *argv)
        seen.add(result.status)
        check_words(result)
        rules = program.show(pair.a)["v0", "egress"]["rules"]
        assert rules in {memory.KILLED: (1, 100000), 0: (100000,), 1: (1,)}[result.status], (size, result)
        program.done(program.mssbpf("rule", "flush", "v0", netns=pair.a))
        program.done(program.mssbpf("rule", "add", "v0", "10.0.0.0/8", "--mtu", "1300", netns=pair.a))
    assert {memory.KILLED, 0} <= seen
    program.done(net.run(*argv))


def test_little_locked_memory(pair):
    """Before Linux 5.11 maps count as locked memory; who may, raises the limit."""
    program.attach(pair.a, "v0", "--mtu", 1400)
    program.done(limited(pair, "--memlock=0", CHANGE))
    program.detach(pair.a, "--all")
    program.done(limited(pair, "--memlock=0", CHANGE))
    assert set(program.show(pair.a)) == {("v0", "egress"), ("v0", "ingress")}


@pytest.mark.vm(old=True)
def test_locked_memory_that_cannot_be_raised(pair):
    """Refused where it counts, by what it takes; elsewhere it does not matter."""
    result = net.run("nsenter", f"--net=/run/netns/{pair.a}", "prlimit", "--memlock=4096", "setpriv",
                     "--bounding-set=-sys_resource", program.MSSBPF, "attach", "v0")
    if result.status == 0:
        program.done(result)
        program.detach(pair.a, "v0")
    else:
        program.refused(result, 1, "RLIMIT_MEMLOCK|ulimit -l")
        assert program.pins(pair.a) == []


def test_a_bpffs_that_is_read_only(pair):
    """What is attached is listed, and its limits change; it cannot be detached, nor anything attached anew."""
    where = ("v0", "--netns", pair.a)
    program.attach(pair.a, "v0", "--mtu", 1400, "--hook", "clsact")
    script = 'mount -o remount,bind,ro /sys/fs/bpf; exec "$0" "$@"'
    for words, status in (("attach", *where, "--mtu", "1300"), 0), (("show", *where), 0), (("detach", *where), 1):
        result = net.run("unshare", "--mount", "sh", "-ec", script, program.MSSBPF, *words)
        assert (result.status, result.stderr == "") == (status, status == 0), result
    assert re.search("^mssbpf: .*[Rr]ead-only", result.stderr), result
    program.mssbpf("detach", "--all", netns=pair.a)
    result = without_bpffs('mount -t bpf -o ro bpf /sys/fs/bpf; exec "$0" attach v0 --netns "$1"', pair.b)
    program.refused(result, 1, "/sys/fs/bpf.*[Rr]ead-only")
