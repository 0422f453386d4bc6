# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Nothing is left behind, however often: programs, maps, links, filters, pins, file descriptors.

Memory of the command itself is what make check-sanitized looks at.
"""
import json
import time

import pytest

import faults
import net
import program
from test_state import link

tcx = pytest.mark.tcx
CYCLES = 10000 if faults.LONG else 60


def loaded(kind):
    """Ids of all that the kernel has: prog, map or link."""
    return {entry["id"] for entry in json.loads(net.must("bpftool", "-j", kind, "show"))}


def wait_until_gone(kind, ids):
    """The kernel frees a little later."""
    deadline = time.monotonic() + 10 * net.PATIENCE
    while (left := loaded(kind) & ids) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left


def maps_of(number):
    return set(json.loads(net.must("bpftool", "-j", "prog", "show", "id", str(number))).get("map_ids", []))


@pytest.mark.parametrize("hook", (pytest.param("tcx", marks=tcx), "clsact"))
def test_attached_and_detached_again_and_again(pair, hook):
    """One interface beside another that stays: entries, pins and filters are what they were."""
    link(pair.a, "x0")
    program.attach(pair.a, "x0", "--hook", "clsact", "--direction", "both")
    before = program.pins(pair.a), program.programs(pair.a), set(program.show(pair.a))
    for _ in range(CYCLES // 10 if hook == "tcx" else CYCLES):
        for words in (("attach", "v0", "--hook", hook, "--direction", "both"), ("detach", "v0")):
            program.done(net.run(program.MSSBPF, words[0], "--netns", pair.a, *words[1:]))
    assert (program.pins(pair.a), program.programs(pair.a), set(program.show(pair.a))) == before
    for direction in ("egress", "ingress"):
        assert program.attached(pair.a, "v0", direction) == (0, 0)
    assert not program.has_clsact(pair.a, "v0")
    folder = program.PINS / str(net.inode(pair.a))
    for name in ("limits", "counters"):
        assert len(json.loads(net.must("bpftool", "-j", "map", "dump", "pinned", str(folder / name)))) == 2


def test_loaded_and_unloaded_again_and_again(pair):
    """Each time from nothing to nothing."""
    programs, maps, links = set(), set(), set()
    for _ in range(CYCLES // 20):
        program.attach(pair.a, "v0", "--direction", "both")
        found = program.programs(pair.a)
        assert found.isdisjoint(programs)
        programs |= found
        maps |= set().union(*(maps_of(number) for number in found))
        links |= {entry["id"] for entry in json.loads(net.must("bpftool", "-j", "link", "show"))
                  if entry.get("prog_id") in found}
        program.detach(pair.a, "--all")
        assert program.pins(pair.a) == []
    assert len(programs) == len(found) * (CYCLES // 20) and maps
    for kind, ids in (("prog", programs), ("map", maps), ("link", links)):
        wait_until_gone(kind, ids)


def test_descriptors_do_not_grow(pair):
    """Many interfaces in one call take no more file descriptors than one."""
    names = [f"x{number}" for number in range(50)]
    for name in names:
        link(pair.a, name)
    program.attach(pair.a, "v0")

    def run(limit, *words):
        return net.run("prlimit", f"--nofile={limit}", program.MSSBPF, words[0], "--netns", pair.a, *words[1:])

    for verb in ("attach", "show", "stats", "detach"):
        words = [verb, *(("--hook", "clsact", "--mtu", "1400") if verb == "attach" else ())]
        limit = next(limit for limit in range(4, 64) if run(limit, *words, names[0]).status == 0)
        result = run(limit, *words, *names[1:])
        assert (result.status, result.stderr) == (0, ""), (limit, result)
