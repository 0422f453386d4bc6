# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""State that outlives the command: pins, limits and counters, interfaces that come and go, many at once.

What is beside ours on the same hook is in test_hooks.py.
"""
import contextlib
import json
import os
import pathlib
import random
import re
import shutil
import struct
import subprocess
import time

import pytest

import bpf
import net
import program
from syns import Syns

hooks = pytest.mark.parametrize("hook", (pytest.param("tcx", marks=pytest.mark.tcx), "clsact"))


def spawn(*arguments):
    return subprocess.Popen([program.MSSBPF, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def link(namespace, name, peer=None, index=None):
    """One more veth pair, both ends in one namespace."""
    net.ip("-n", namespace, "link", "add", name, *(("index", str(index)) if index else ()), "type", "veth",
           "peer", "name", peer or f"{name}-p")


def remove_if_empty():
    """The folder of all namespaces' pins, where others may have theirs."""
    with contextlib.suppress(OSError):
        os.rmdir(program.PINS)


def send_syn(pair, device="v0"):
    """A SYN without options to nobody, which is counted as no_mss."""
    frame = b"\x02\0\0\0\0\x99" + b"\x02\0\0\0\0\x01" + b"\x08\0" + struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 40, 1, 0, 64, 6, 0, bytes(4), bytes(4)) + struct.pack(
        "!HHIIBBHHH", 1, 2, 3, 0, 0x50, 2, 0, 0, 0)
    net.ip("-n", pair.a, "link", "set", device, "up")
    with net.Sender(pair.a, device) as sender:
        sender.send(frame)


@hooks
def test_attach_again_changes_limits_in_place(pair, hook):
    program.attach(pair.a, "v0", "--mtu", 1400, "--hook", hook)
    first = program.show(pair.a)["v0", "egress"]
    send_syn(pair)
    attached = program.attached(pair.a, "v0", "egress")
    program.attach(pair.a, "v0", "--mtu", 1300, "--hook", hook)
    second = program.show(pair.a)["v0", "egress"]
    assert (second["mtu"], second["mss4"], second["mss6"]) == (1300, 1260, 1240)
    assert second["program_id"] == first["program_id"]
    assert program.attached(pair.a, "v0", "egress") == attached
    assert program.counted(pair.a, "v0") == {"syn": 1, "no_mss": 1}
    program.attach(pair.a, "v0", "--mtu", 1300, "--hook", hook)
    assert program.show(pair.a)["v0", "egress"] == second


def test_a_second_direction_keeps_the_first(pair):
    program.attach(pair.a, "v0", "--mtu", 1400)
    send_syn(pair)
    program.attach(pair.a, "v0", "--mtu", 1300, "--direction", "ingress")
    shown = program.show(pair.a)
    assert {key: entry["mtu"] for key, entry in shown.items()} == {("v0", "egress"): 1400, ("v0", "ingress"): 1300}
    assert program.counted(pair.a, "v0") == {"syn": 1, "no_mss": 1}


def programs(namespace):
    """What is pinned of programs for packets: the id of each, by name."""
    folder = program.PINS / str(net.inode(namespace))
    return {path.name: bpf.pinned_program(path) for path in folder.glob("mssbpf_*")}


def test_programs_are_loaded_once(pair):
    """Each when the first interface needs it: the second costs no second program."""
    net.ip("-n", pair.a, "tuntap", "add", "mode", "tun", "name", "t0")
    needed, loaded = set(), {}
    for words, more in ((("v0",), {"mssbpf_tc_eth_egress", "mssbpf_xdp_egress"}),
                        (("v0", "--direction", "ingress"), {"mssbpf_tc_eth_ingress"}),
                        (("t0", "--direction", "both"), {"mssbpf_tc_l3_egress", "mssbpf_tc_l3_ingress"}),
                        (("v0", "--hook", "xdp"), {"mssbpf_xdp"})):
        program.attach(pair.a, *words)
        needed |= more
        now = programs(pair.a)
        assert set(now) == needed and now.items() >= loaded.items(), words
        loaded = now
    for name in ("x0", "x1", "x2"):
        link(pair.a, name)
    program.attach(pair.a, "x0", "x1", "x2", "--direction", "both")
    program.attach(pair.a, "x2", "--hook", "xdp")
    program.detach(pair.a, "v0", "t0")
    program.attach(pair.a, "t0")
    assert programs(pair.a) == loaded
    assert {entry["program_id"] for entry in program.show(pair.a).values()} == {
        loaded[name] for name in needed - {"mssbpf_xdp_egress", "mssbpf_tc_l3_ingress"}}


@hooks
def test_a_second_kind_beside_the_first(pair, hook):
    """One more program is loaded, into the same maps; what the first has counted and does goes on."""
    net.ip("-n", pair.a, "tuntap", "add", "mode", "tun", "name", "t0")
    program.attach(pair.a, "v0", "--mtu", 1400, "--hook", hook)
    before, shown = programs(pair.a), program.show(pair.a)
    with Syns(pair.a, "v0", pair.b, "v1") as syns:
        program.attach(pair.a, "t0", "--mtu", 1300, "--hook", hook)
        assert syns.since() == [1360]
    assert program.show(pair.a)["v0", "egress"] == shown["v0", "egress"]
    assert program.counted(pair.a, "v0") == {"syn": syns.passed, "clamped": syns.passed}
    assert programs(pair.a) == before | {"mssbpf_tc_l3_egress": program.show(pair.a)["t0", "egress"]["program_id"]}
    verified = program.mssbpf("verify", netns=pair.a)
    assert (verified.status, verified.stderr) == (0, ""), verified


def test_several_of_which_one_is_missing(pair):
    link(pair.a, "x0")
    result = program.mssbpf("attach", "v0", "wg9", "x0", "--mtu", 1400, netns=pair.a)
    assert (result.status, result.stdout, result.stderr) == (1, "", "mssbpf: wg9: no such interface\n")
    assert set(program.show(pair.a)) == {("v0", "egress"), ("x0", "egress")}
    result = program.mssbpf("detach", "x0", "wg9", "v0", netns=pair.a)
    assert (result.status, result.stdout, result.stderr) == (1, "", "mssbpf: wg9: no such interface\n")
    assert program.show(pair.a) == {}


def test_detach_one_of_two(pair):
    link(pair.a, "x0")
    program.attach(pair.a, "v0", "x0", "--direction", "both")
    program.detach(pair.a, "v0")
    assert set(program.show(pair.a)) == {("x0", "egress"), ("x0", "ingress")}
    assert program.attached(pair.a, "v0", "egress") == program.attached(pair.a, "v0", "ingress") == (0, 0)


def test_detach_of_what_is_not_attached(pair):
    program.refused(program.mssbpf("detach", "v0", netns=pair.a), 1, r"^mssbpf: v0: not attached")
    program.attach(pair.a, "v0")
    link(pair.a, "x0")
    program.refused(program.mssbpf("detach", "x0", netns=pair.a), 1, r"^mssbpf: x0: not attached")
    program.detach(pair.a, "v0")
    program.refused(program.mssbpf("detach", "v0", netns=pair.a), 1, r"^mssbpf: v0: not attached")
    program.detach(pair.a, "--all")


@hooks
@pytest.mark.parametrize("next_verb", ("show", "attach", "detach"))
def test_an_interface_that_is_gone(pair, hook, next_verb):
    """The next command that may change anything cleans up after it; `stats` passes over it."""
    link(pair.a, "x0")
    link(pair.a, "x1")
    program.attach(pair.a, "x0", "--direction", "both", "--hook", hook)
    program.attach(pair.a, "v0", "x1")
    index = net.ifindex(pair.a, "x0")
    net.ip("-n", pair.a, "link", "delete", "x0")
    assert program.stats(pair.a, "x1")["syn"] == 0
    result = program.mssbpf("stats", netns=pair.a)
    assert (result.status, result.stderr) == (0, "") and "x0" not in result.stdout and "v0" in result.stdout
    result = program.mssbpf(next_verb, *(["x1"] if next_verb in ("attach", "detach") else []), netns=pair.a)
    assert (result.status, result.stderr) == (0, ""), result
    assert not [pin for pin in program.pins(pair.a) if f"_{index}_" in pin]
    limits = program.PINS / str(net.inode(pair.a)) / "limits"
    entries = json.loads(net.must("bpftool", "-j", "map", "dump", "pinned", str(limits)))
    assert len(entries) == (1 if next_verb == "detach" else 2)
    assert {name for name, _ in program.show(pair.a)} == {"v0", "x1"} - ({"x1"} if next_verb == "detach" else set())


def test_the_last_interface_is_gone(pair):
    """Nothing is left of a namespace's state once its only interface is gone and a command came by."""
    link(pair.a, "x0")
    program.attach(pair.a, "x0")
    net.ip("-n", pair.a, "link", "delete", "x0")
    assert program.show(pair.a) == {}
    assert program.pins(pair.a) == []


@hooks
def test_an_interface_made_again(pair, hook):
    """With the same name and even the same index it is another interface: not attached, counters at zero."""
    link(pair.a, "x0", index=77)
    program.attach(pair.a, "x0", "--mtu", 1400, "--hook", hook)
    send_syn(pair, "x0")
    net.ip("-n", pair.a, "link", "delete", "x0")
    link(pair.a, "x0", index=77)
    assert program.show(pair.a) == {}
    program.attach(pair.a, "x0", "--mtu", 1300, "--hook", hook)
    assert program.counted(pair.a, "x0") == {}
    send_syn(pair, "x0")
    assert program.counted(pair.a, "x0") == {"syn": 1, "no_mss": 1}


@hooks
def test_an_interface_made_again_and_attached_at_once(pair, hook):
    """As above, with attach as the next command."""
    for mtu in (1400, 1300):
        link(pair.a, "x0", index=77)
        program.attach(pair.a, "x0", "--mtu", mtu, "--hook", hook)
        assert program.counted(pair.a, "x0") == {}
        send_syn(pair, "x0")
        assert program.counted(pair.a, "x0") == {"syn": 1, "no_mss": 1}
        net.ip("-n", pair.a, "link", "delete", "x0")


def test_a_renamed_interface(pair):
    """State follows the interface, not its name."""
    program.attach(pair.a, "v0", "--mtu", 1400)
    net.ip("-n", pair.a, "link", "set", "v0", "down")
    net.ip("-n", pair.a, "link", "set", "v0", "name", "uplink")
    assert program.show(pair.a)["uplink", "egress"]["mtu"] == 1400
    program.detach(pair.a, "uplink")


@hooks
def test_an_interface_that_moved_away(pair, hook):
    """To another namespace: here it is gone, and one made in its place, with its index, is not attached."""
    link(pair.a, "x0", index=77)
    program.attach(pair.a, "x0", "--mtu", 1400, "--hook", hook)
    net.ip("-n", pair.a, "link", "set", "x0", "netns", pair.b)
    link(pair.a, "x0", "x1", index=77)
    assert program.show(pair.a) == {}
    assert program.pins(pair.a) == []
    program.attach(pair.a, "x0", "--mtu", 1300, "--hook", hook)
    send_syn(pair, "x0")
    assert program.counted(pair.a, "x0") == {"syn": 1, "no_mss": 1}


def test_an_alternative_name(pair):
    """One that ip-link(8) gave is taken wherever a name is; what is printed is the interface's own name."""
    net.ip("-n", pair.a, "link", "property", "add", "dev", "v0", "altname", "uplink-to-the-internet")
    program.attach(pair.a, "uplink-to-the-internet")
    assert set(program.show(pair.a, "uplink-to-the-internet")) == {("v0", "egress")}
    program.detach(pair.a, "uplink-to-the-internet")


def test_two_namespaces_do_not_meet(pair):
    """Interface indexes repeat between namespaces; limits and counters do not."""
    assert net.ifindex(pair.a, "v0") == net.ifindex(pair.b, "v1")
    program.attach(pair.a, "v0", "--mtu", 1400)
    program.attach(pair.b, "v1", "--mtu", 1300, "--direction", "ingress")
    send_syn(pair)
    assert set(program.show(pair.a)) == {("v0", "egress")}
    assert program.show(pair.b)["v1", "ingress"]["mtu"] == 1300
    program.detach(pair.a, "--all")
    assert program.counted(pair.b, "v1", "ingress") == {"syn": 1, "no_mss": 1}
    assert program.pins(pair.a) == []
    assert program.pins(pair.b)


def test_full_maps(pair):
    """The entry too many is refused with the size and how to raise it; the others go on."""
    for name in ("x0", "x1"):
        link(pair.a, name)
    program.attach(pair.a, "v0", "--max-entries", 2)
    result = program.mssbpf("attach", "x0", "x1", netns=pair.a)
    assert (result.status, result.stdout) == (1, ""), result
    assert re.search(r"^mssbpf: x1: .*\b2\b.*--max-entries", result.stderr), result
    assert set(program.show(pair.a)) == {("v0", "egress"), ("x0", "egress")}
    assert program.attached(pair.a, "x1", "egress") == (0, 0)
    assert not program.has_clsact(pair.a, "x1")
    program.attach(pair.a, "v0", "--mtu", 1300)  # changing one needs no room
    program.detach(pair.a, "x0")
    program.attach(pair.a, "x1")  # and a place that was given up is free


def test_a_direction_too_many(pair):
    """With room for one of two directions, what is attached is what `show` says."""
    result = program.mssbpf("attach", "v0", "--direction", "both", "--max-entries", 1, netns=pair.a)
    program.refused(result, 1, r"^mssbpf: v0: .*\b1\b.*--max-entries")
    for direction in ("egress", "ingress"):
        shown = ("v0", direction) in program.show(pair.a)
        assert sum(program.attached(pair.a, "v0", direction)) == shown


def test_the_size_of_maps_that_are_there(pair):
    """--max-entries on existing maps is not obeyed silently."""
    program.attach(pair.a, "v0", "--max-entries", 5)
    result = program.mssbpf("attach", "v0", "--max-entries", 9, netns=pair.a)
    assert result.stdout == "" and re.search(r"^mssbpf: .*max-entries 9.*\b5\b", result.stderr), result


@hooks
def test_many_at_once(pair, hook):
    """Twelve interfaces and one that all want, attached by as many commands at the same time."""
    names = [f"x{number}" for number in range(12)]
    for name in names:
        link(pair.a, name)
    for verb, options in (("attach", ("--direction", "both", "--hook", hook, "--mtu", "1400")), ("detach", ())):
        running = [spawn(verb, "--netns", pair.a, name, *options) for name in names]
        if verb == "attach":
            running += [spawn(verb, "--netns", pair.a, "v0", *options) for _ in names]
        for process in running:
            stdout, stderr = process.communicate(timeout=30 * net.PATIENCE)
            assert (process.returncode, stdout, stderr) == (0, "", "")
        shown = program.show(pair.a)
        expected = [*names, "v0"] if verb == "attach" else ["v0"]
        assert set(shown) == {(name, direction) for name in expected for direction in ("egress", "ingress")}
        for name in expected:
            for direction in ("egress", "ingress"):
                assert sum(program.attached(pair.a, name, direction)) == 1
    assert {(entry["mss4"], entry["hook"]) for entry in shown.values()} == {(1360, hook)}


def test_attach_and_detach_at_once(pair):
    """All end with attached or not attached, and with nothing in between."""
    for _ in range(4):
        running = [spawn(*words) for words in 4 * (("attach", "--netns", pair.a, "v0"),
                                                   ("detach", "--netns", pair.a, "--all"))]
        for process in running:
            stdout, stderr = process.communicate(timeout=30 * net.PATIENCE)
            assert (process.returncode, stdout, stderr) == (0, "", "")
        shown = len(program.show(pair.a))
        assert sum(program.attached(pair.a, "v0", "egress")) == shown
        assert bool(program.pins(pair.a)) == bool(shown)


@hooks
def test_killed_in_the_middle(pair, hook):
    """A command that dies anywhere leaves a state that the next ones understand and remove."""
    rng = random.Random(1)
    for _ in range(40):
        verb, *options = rng.choice((("attach", "v0", "--direction", "both", "--hook", hook), ("detach", "--all")))
        process = spawn(verb, "--netns", pair.a, *options)
        time.sleep(rng.random() * 0.02)
        process.kill()
        process.communicate(timeout=30 * net.PATIENCE)
    program.attach(pair.a, "v0", "--direction", "both", "--hook", hook)
    assert len(program.show(pair.a)) == 2
    program.detach(pair.a, "--all")
    assert program.attached(pair.a, "v0", "egress") == program.attached(pair.a, "v0", "ingress") == (0, 0)
    assert not program.has_clsact(pair.a, "v0")
    assert program.pins(pair.a) == []


def test_an_interface_deleted_meanwhile(pair):
    """Attach while the interface goes: done or refused, in words, and nothing is left of it."""
    outcomes = set()
    for number in range(30):
        link(pair.a, "x0")
        process = spawn("attach", "--netns", pair.a, "x0", "--direction", "both")
        time.sleep(number / 30 * 0.02)
        net.ip("-n", pair.a, "link", "delete", "x0")
        stdout, stderr = process.communicate(timeout=30 * net.PATIENCE)
        outcomes.add(process.returncode)
        assert stdout == "" and (process.returncode, bool(stderr)) in ((0, False), (1, True)), stderr
        assert not stderr or re.match(r"mssbpf: (x0|interface \d+): ", stderr), stderr
    assert program.show(pair.a) == {}
    assert program.pins(pair.a) == []
    assert outcomes <= {0, 1}


def another_build(folder):
    """The program with another object in it, of the same code."""
    other = pathlib.Path(folder) / "mssbpf"
    data = pathlib.Path(program.MSSBPF).read_bytes()
    assert b"Dual BSD/GPL" in data
    other.write_bytes(data.replace(b"Dual BSD/GPL", b"Dual MIT/GPL"))
    shutil.copymode(program.MSSBPF, other)
    return other


def test_another_build_finds_programs_that_are_not_attached(pair, tmp_path):
    """It does not use them: they go, and are loaded anew when they are needed."""
    link(pair.a, "x0")
    program.attach(pair.a, "v0")
    program.attach(pair.a, "x0", "--direction", "ingress")
    program.detach(pair.a, "x0")
    old, other = programs(pair.a), another_build(tmp_path)
    for words in (("v0",), ("x0", "--direction", "ingress")):
        program.done(net.run(str(other), "attach", "--netns", pair.a, *words))
        assert set(programs(pair.a).values()).isdisjoint(old.values())
        assert set(programs(pair.a)) == set(old) - ({"mssbpf_tc_eth_ingress"} if words == ("v0",) else set())
    program.loaded.update(programs(pair.a).values())


@hooks
def test_another_build_replaces_the_programs(pair, tmp_path, hook):
    """A newer program takes over what an older one attached: same place, same limits, counters kept."""
    other = another_build(tmp_path)
    link(pair.a, "x0")
    program.attach(pair.a, "v0", "x0", "--mtu", 1400, "--direction", "both", "--hook", hook)
    send_syn(pair)
    before = program.show(pair.a)
    old = {entry["program_id"] for entry in before.values()}
    change = program.PINS / str(net.inode(pair.a)) / "change"
    old_change = bpf.pinned_program(change)
    result = net.run(str(other), "attach", "--netns", pair.a, "x0", "--mtu", "1300")
    program.done(result)
    after = program.show(pair.a)
    assert set(after) == set(before)
    assert old.isdisjoint(entry["program_id"] for entry in after.values())
    assert bpf.pinned_program(change) != old_change
    assert after["v0", "egress"]["mtu"] == 1400 and after["x0", "egress"]["mtu"] == 1300
    assert program.counted(pair.a, "v0") == {"syn": 1, "no_mss": 1}
    for direction in ("egress", "ingress"):
        assert sum(program.attached(pair.a, "v0", direction)) == 1
    send_syn(pair)
    assert program.counted(pair.a, "v0") == {"syn": 2, "no_mss": 2}


def test_pins_of_another_layout(pair):
    """They are refused in words and left as they are."""
    folder = program.PINS / str(net.inode(pair.a))
    folder.mkdir(parents=True)
    meta = folder / "meta"
    try:
        net.must("bpftool", "map", "create", str(meta), "type", "array", "key", "4", "value", "16", "entries", "1",
                 "name", "meta")
        net.must("bpftool", "map", "update", "pinned", str(meta), "key", "0", "0", "0", "0", "value", "hex",
                 *("ff " * 16).split())
        content = net.must("bpftool", "map", "dump", "pinned", str(meta))
        for words in (("attach", "v0"), ("detach", "v0"), ("detach", "--all"), ("show",), ("stats", "--json")):
            result = program.mssbpf(*words, netns=pair.a)
            program.refused(result, 1, rf"^mssbpf: {folder}: .*layout")
        assert program.pins(pair.a) == [str(folder), str(meta)]
        assert net.must("bpftool", "map", "dump", "pinned", str(meta)) == content
        assert sum(program.attached(pair.a, "v0", "egress")) == 0
    finally:
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
        remove_if_empty()


def test_a_namespace_that_is_gone(pair):
    """A namespace deleted with its interfaces attached: one that gets its inode number starts afresh."""
    for _ in range(5):
        net.make_namespaces("mssbpf-e2e-gone")
        folder = program.PINS / str(net.inode("mssbpf-e2e-gone"))
        link("mssbpf-e2e-gone", "v0", index=5)
        assert program.show("mssbpf-e2e-gone") == {}
        program.attach("mssbpf-e2e-gone", "v0")
        net.delete_namespaces("mssbpf-e2e-gone")
        for path in folder.iterdir() if folder.exists() else ():
            path.unlink()
        folder.rmdir()
    remove_if_empty()
