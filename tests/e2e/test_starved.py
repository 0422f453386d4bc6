# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Commands that get too little: memory, file descriptors, locked memory, a bpffs that takes nothing.

Each is done or refused in words, and what was attached before stays as it was.
"""
import re

import pytest

import faults
import net
import program
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
        assert result.stderr.startswith("mssbpf: "), result
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


def test_little_locked_memory(pair):
    """Before Linux 5.11 maps count as locked memory; who may, raises the limit."""
    program.attach(pair.a, "v0", "--mtu", 1400)
    program.done(limited(pair, "--memlock=0", CHANGE))
    program.detach(pair.a, "--all")
    program.done(limited(pair, "--memlock=0", CHANGE))
    assert set(program.show(pair.a)) == {("v0", "egress"), ("v0", "ingress")}


@pytest.mark.vm
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
