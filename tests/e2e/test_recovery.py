# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What the command does when the kernel refuses a call, or when somebody changed what it left behind.

What is attached stays attached and is told truly; nothing of others is taken for ours.
"""
import itertools
import os
import shutil
import tempfile

import pytest

import net
import program
from test_hooks import connect
from test_state import another_build

hooks = pytest.mark.parametrize("hook", (pytest.param("tcx", marks=pytest.mark.tcx), "clsact"))


def forget_pins(pair):
    """Removes the pins by hand. A link goes with its pin; a filter stays, with maps nobody can reach."""
    for pin in program.pins(pair.a)[1:]:
        os.unlink(pin)
    os.rmdir(program.PINS / str(net.inode(pair.a)))


def refusals(pair, *words, call="bpf", error="EMFILE"):
    """Runs a command again and again, its first, second, ... and last system call of this kind refused, and then none."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed (make deps)")
    with tempfile.NamedTemporaryFile("r") as log:
        for number in itertools.count(1):
            result = net.run("strace", "-o", log.name, "-e", f"trace={call}", "-e",
                             f"inject={call}:error={error}:when={number}", program.MSSBPF, *words, "--netns", pair.a)
            log.seek(0)
            whole = "(INJECTED)" not in log.read()
            yield number, result
            if whole:
                break
    assert number > 2


@hooks
@pytest.mark.parametrize("words", (("show",), ("stats",), ("attach", "v0", "--mtu", "1400")), ids=lambda words: words[0])
def test_a_refused_call_detaches_nothing(pair, hook, words):
    program.attach(pair.a, "v0", "--mtu", 1400, "--hook", hook)
    for number, result in refusals(pair, *words):
        attached = program.attached(pair.a, "v0", "egress")
        assert attached == ((1, 0) if hook == "tcx" else (0, 1)), (number, result)
        assert result.status == 0 or result.stderr.startswith("mssbpf: "), (number, result)
        assert not (words[0] == "show" and result.status == 0 and "v0" not in result.stdout), (number, result)
    assert connect(pair)[0] == 1360


@hooks
@pytest.mark.parametrize("call,error", (("bpf", "ENOMEM"), ("sendto", "ENOBUFS")))
def test_a_refused_call_in_detach_is_told(pair, hook, call, error):
    """Success is said only when nothing is left; after a failure, the command again removes the rest."""
    program.attach(pair.a, "v0", "--mtu", 1400, "--hook", hook)
    for number, result in refusals(pair, "detach", "v0", call=call, error=error):
        if result.status == 0:
            assert program.attached(pair.a, "v0", "egress") == (0, 0), (number, result)
            assert not program.has_clsact(pair.a, "v0"), (number, result)
            program.attach(pair.a, "v0", "--mtu", 1400, "--hook", hook)
        else:
            assert result.stderr.startswith("mssbpf: "), (number, result)
            if sum(program.attached(pair.a, "v0", "egress")) == 0:
                program.attach(pair.a, "v0", "--mtu", 1400, "--hook", hook)


def test_memory_that_is_short_for_a_moment(pair, tmp_path):
    """The kernel refuses memory for an entry, and has some a moment later: nobody has to know."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed (make deps)")
    net.ip("-n", pair.a, "link", "add", "x0", "type", "veth", "peer", "name", "x1")
    program.attach(pair.a, "x0", "--direction", "both")  # keeps the programs loaded
    program.attach(pair.a, "v0", "--direction", "ingress")
    trace = tmp_path / "trace"
    words = (program.MSSBPF, "attach", "v0", "--mtu", "1400", "--netns", pair.a)
    net.must("strace", "-o", str(trace), "-e", "trace=bpf", *words)
    calls = [number for number, line in enumerate(trace.read_text().splitlines(), 1) if "BPF_MAP_UPDATE_ELEM" in line]
    assert len(calls) >= 2  # the counters and the limits
    for number in calls:
        program.mssbpf("detach", "v0", netns=pair.a)
        program.attach(pair.a, "v0", "--direction", "ingress")
        program.done(net.run("strace", "-o", "/dev/null", "-e", "trace=bpf", "-e",
                             f"inject=bpf:error=ENOMEM:when={number}", *words))
        assert set(program.show(pair.a, "v0")) == {("v0", "egress"), ("v0", "ingress")}


def test_a_filter_whose_maps_are_lost_is_replaced(pair):
    program.attach(pair.a, "v0", "--mtu", 1400, "--hook", "clsact")
    forget_pins(pair)
    assert program.show(pair.a) == {}
    program.attach(pair.a, "v0", "--mtu", 1300)
    assert connect(pair)[0] == 1260
    assert program.counted(pair.a, "v0") == {"syn": 1, "clamped": 1}
    assert program.attached(pair.a, "v0", "egress") == (0, 1)


def test_a_filter_whose_maps_are_lost_is_detached(pair):
    program.attach(pair.a, "v0", "--hook", "clsact", "--direction", "both")
    forget_pins(pair)
    program.detach(pair.a, "v0")
    assert program.attached(pair.a, "v0", "egress") == program.attached(pair.a, "v0", "ingress") == (0, 0)


@hooks
@pytest.mark.parametrize("name", ("mssbpf_tc_eth_egress", "mssbpf_xdp_egress"))
def test_a_pinned_program_that_is_lost(pair, hook, name):
    """Somebody removed the pin of a program: attach pins it anew, limits and counters go on."""
    program.attach(pair.a, "v0", "--mtu", 1400, "--hook", hook)
    assert connect(pair)[0] == 1360
    pin = program.PINS / str(net.inode(pair.a)) / name
    os.unlink(pin)
    program.attach(pair.a, "v0", "--mtu", 1300)
    assert connect(pair)[0] == 1260 and pin.exists()
    assert program.counted(pair.a, "v0") == {"syn": 2, "clamped": 2}


def load_refused(pair, error, number, *words):
    """Runs a command whose program is refused, and again when libbpf asks for the verifier's log."""
    result = net.run("strace", "-o", "/dev/null", "-e", "trace=bpf", "-e",
                     f"inject=bpf:error={error}:when={number}..{number + 1}", program.MSSBPF, *words, "--netns", pair.a)
    program.loaded.update(program.programs(pair.a))
    return result


def loading(pair, *words):
    """Which calls of bpf(2) verify a program for packets while the command runs."""
    with tempfile.NamedTemporaryFile("r") as log:
        program.done(net.run("strace", "-o", log.name, "-e", "trace=bpf", program.MSSBPF, *words, "--netns", pair.a))
        program.loaded.update(program.programs(pair.a))
        return [number for number, line in enumerate(log.read().splitlines(), 1)
                if "BPF_PROG_LOAD" in line and 'prog_name="mssbpf_' in line and "mssbpf_change" not in line]


@pytest.mark.parametrize("error,said", (("ENOMEM", "too little memory"), ("EACCES", "Permission denied")))
@pytest.mark.parametrize("first", (True, False), ids=("first", "second"))
def test_a_program_that_cannot_be_loaded(pair, first, error, said):
    """Told for the interface; the other direction, which was attached before, and other interfaces are what they were.
    With nothing else attached, nothing is left."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed (make deps)")
    words = "attach", "v0", "--mtu", "1300", "--direction", "both"

    def restore():
        program.detach(pair.a, "--all")
        if not first:
            program.attach(pair.a, "v0", "--mtu", 1400)

    restore()
    calls = loading(pair, *words)
    assert len(calls) == (3 if first else 1)
    for number in calls:
        restore()
        shown, pinned = program.show(pair.a), program.pins(pair.a)
        result = load_refused(pair, error, number, *words)
        program.refused(result, 1, rf"^mssbpf: v0: loading the BPF programs: .*{said}[^\n]*\n$")
        assert (program.show(pair.a), program.pins(pair.a)) == (shown, pinned)
        assert connect(pair) == ((1460, 1460) if first else (1360, 1460))
        program.attach(pair.a, *words[1:])
        assert connect(pair) == (1260, 1260)


def test_programs_of_another_build_that_cannot_be_loaded(pair, tmp_path, monkeypatch):
    """The old ones go on, pinned and attached, until the same command can load them."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed (make deps)")
    builds, words = (program.MSSBPF, str(another_build(tmp_path))), ("attach", "v0", "--mtu", "1300")

    def attach(build):
        monkeypatch.setattr(program, "MSSBPF", build)
        program.attach(pair.a, *words[1:])

    attach(builds[0])
    monkeypatch.setattr(program, "MSSBPF", builds[1])
    number = loading(pair, *words)[0]
    attach(builds[0])
    shown, pinned = program.show(pair.a), program.programs(pair.a)
    monkeypatch.setattr(program, "MSSBPF", builds[1])
    program.refused(load_refused(pair, "ENOMEM", number, "attach", "v0", "--mtu", "1400"), 1,
                    "^mssbpf: v0: loading the BPF programs: .*\nmssbpf: cannot replace .*; the old ones go on\n"
                    "mssbpf: v0: there is no program for it.*\n$")
    assert (program.show(pair.a), program.programs(pair.a)) == (shown, pinned)
    assert connect(pair)[0] == 1260
    attach(builds[1])
    assert pinned.isdisjoint(program.programs(pair.a))
    assert connect(pair)[0] == 1260 and program.counted(pair.a, "v0") == {"syn": 2, "clamped": 2}


def test_an_older_build_after_a_newer_one_failed(pair, tmp_path, monkeypatch):
    """The newer build's programs, which are in the place of some, are replaced again."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed (make deps)")
    net.ip("-n", pair.a, "tuntap", "add", "mode", "tun", "name", "t0")
    builds, words = (program.MSSBPF, str(another_build(tmp_path))), ("attach", "v0", "t0", "--mtu", "1400")
    program.attach(pair.a, *words[1:])
    monkeypatch.setattr(program, "MSSBPF", builds[1])
    number = loading(pair, *words)[-1]
    monkeypatch.setattr(program, "MSSBPF", builds[0])
    program.attach(pair.a, *words[1:])
    before = program.show(pair.a)
    monkeypatch.setattr(program, "MSSBPF", builds[1])
    program.refused(load_refused(pair, "ENOMEM", number, *words), 1, "the old ones go on")
    between = program.programs(pair.a)
    replaced = [key for key, entry in program.show(pair.a).items() if entry["program_id"] != before[key]["program_id"]]
    assert len(replaced) == 1
    monkeypatch.setattr(program, "MSSBPF", builds[0])
    program.attach(pair.a, *words[1:])
    assert program.programs(pair.a).isdisjoint(between)
    assert {entry["program_id"] for entry in program.show(pair.a).values()}.isdisjoint(between)


def test_a_program_that_cannot_be_loaded_for_many(pair):
    """It is tried once for all interfaces of a kind, and told for each; those of another kind are attached."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed (make deps)")
    net.ip("-n", pair.a, "tuntap", "add", "mode", "tun", "name", "t0")
    net.ip("-n", pair.a, "link", "add", "x0", "type", "veth", "peer", "name", "x1")
    words = "attach", "v0", "t0", "x0", "--mtu", "1400"
    number = loading(pair, *words)[0]
    program.detach(pair.a, "--all")
    program.refused(load_refused(pair, "ENOMEM", number, *words), 1,
                    "^mssbpf: v0: loading the BPF programs: .*\nmssbpf: x0: there is no program for it.*\n$")
    assert set(program.show(pair.a)) == {("t0", "egress")}


@pytest.mark.parametrize("name", ("meta", "limits", "counters", "change"))
def test_a_pinned_map_that_is_lost(pair, name):
    """Nothing is guessed: every verb that needs it says what is wrong and what removes the rest."""
    program.attach(pair.a, "v0")
    os.unlink(program.PINS / str(net.inode(pair.a)) / name)
    for words in (("attach", "v0"), ("detach", "--all"), ("show",), ("stats", "--json")):
        if (name, words[0]) != ("change", "stats"):
            program.refused(program.mssbpf(*words, netns=pair.a), 1, "not whole.*rm -r")
    forget_pins(pair)
    program.attach(pair.a, "v0")


def test_rights_without_sys_admin(pair):
    """CAP_BPF and CAP_NET_ADMIN are enough to list and to detach what is attached by clsact."""
    program.attach(pair.a, "v0", "--mtu", 1400, "--hook", "clsact")
    for words, said in (("show", "clsact"), ("stats", "egress"), ("detach", "")):
        result = net.run("nsenter", f"--net=/run/netns/{pair.a}", "setpriv", "--bounding-set=-sys_admin",
                         program.MSSBPF, words, "v0")
        assert (result.status, result.stderr) == (0, "") and said in result.stdout, result
    assert not program.has_clsact(pair.a, "v0")


@pytest.mark.tcx
def test_detach_all_after_moving_both_directions(pair):
    program.attach(pair.a, "v0", "--direction", "both")
    program.attach(pair.a, "v0", "--direction", "both", "--hook", "clsact")
    program.detach(pair.a, "--all")
    assert not program.has_clsact(pair.a, "v0")


@pytest.mark.parametrize("words", (("show",), ("detach", "--all"), ("attach", "v0", "--hook", "clsact")),
                         ids=lambda words: words[0])
def test_a_qdisc_that_took_the_place_of_ours(pair, words):
    """Ours was deleted and somebody made his own: it stays, whatever comes after."""
    program.attach(pair.a, "v0", "--hook", "clsact")
    net.must("tc", "-n", pair.a, "qdisc", "del", "dev", "v0", "clsact")
    net.must("tc", "-n", pair.a, "qdisc", "add", "dev", "v0", "clsact")
    assert program.mssbpf(*words, netns=pair.a).status == 0
    program.mssbpf("detach", "--all", netns=pair.a)
    assert program.has_clsact(pair.a, "v0")


def test_a_qdisc_made_in_vain_is_removed(pair):
    """The filter is refused after the qdisc was made for it."""
    refused = 0
    for number, result in refusals(pair, "attach", "v0", "--hook", "clsact", call="sendto", error="ENOBUFS"):
        refused += result.status == 1
        program.mssbpf("detach", "v0", netns=pair.a)
        assert not program.has_clsact(pair.a, "v0"), (number, result)
    assert refused > 2


@pytest.mark.tcx
def test_what_a_deleted_namespace_left_is_removed(pair):
    net.make_namespaces("mssbpf-e2e-gone")
    net.ip("-n", "mssbpf-e2e-gone", "link", "add", "g0", "type", "veth", "peer", "name", "g1")
    program.attach("mssbpf-e2e-gone", "g0")
    folder = program.PINS / str(net.inode("mssbpf-e2e-gone"))
    assert folder.exists()
    net.delete_namespaces("mssbpf-e2e-gone")
    for _ in range(100):  # the kernel takes devices down a little later
        program.attach(pair.a, "v0")
        if not folder.exists():
            break
    assert not folder.exists()


@pytest.mark.parametrize("error,named", (("ENOSYS", "CONFIG_BPF_SYSCALL"), ("EINVAL", "CONFIG_NET_CLS_BPF"),
                                         ("EPERM", "CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON")))
def test_a_kernel_that_lacks_something(pair, error, named):
    """Every call of bpf(2) answers as such a kernel would: what is missing is named, nothing is left."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed (make deps)")
    result = net.run("strace", "-f", "-o", "/dev/null", "-e", "trace=bpf", "-e", f"inject=bpf:error={error}",
                     program.MSSBPF, "attach", "v0", "--netns", pair.a)
    program.refused(result, 1, named)
    assert program.pins(pair.a) == []


def test_an_ifb_is_warned_of(pair):
    net.ip("-n", pair.a, "link", "add", "i0", "type", "ifb")
    result = program.mssbpf("attach", "i0", netns=pair.a)
    assert result.status == 0
    assert result.stderr.startswith("mssbpf: warning: i0: an ifb"), result


def test_netns_before_the_verb(pair):
    for words in (("-n", pair.a), ("--netns", pair.a), (f"--netns={pair.a}",), ("-v", "-n", pair.a)):
        assert net.run(program.MSSBPF, *words, "attach", "v0").status == 0
        result = net.run(program.MSSBPF, *words, "show", "v0")
        assert result.status == 0 and "v0" in result.stdout, result
        assert net.run(program.MSSBPF, *words, "detach", "v0").status == 0


@pytest.mark.tcx
def test_a_living_namespace_is_not_taken_for_a_deleted_one(pair):
    """One interface is gone with its link, another is attached by a filter: a command elsewhere removes nothing."""
    net.ip("-n", pair.a, "link", "add", "x0", "type", "veth", "peer", "name", "x1")
    program.attach(pair.a, "v0", "--hook", "clsact", "--mtu", 1400)
    program.attach(pair.a, "x0", "--mtu", 1400)
    net.ip("-n", pair.a, "link", "del", "x0")
    program.attach(pair.b, "v1")
    assert set(program.show(pair.a)) == {("v0", "egress")}
    assert connect(pair)[0] == 1360


@pytest.mark.tcx
def test_egress_beside_ingress_on_an_ingress_qdisc(pair):
    """Such a qdisc has one side: what is there for ingress is not taken for egress, nor replaced by it."""
    net.must("tc", "-n", pair.a, "qdisc", "add", "dev", "v0", "ingress")
    program.attach(pair.a, "v0", "--hook", "clsact", "--direction", "ingress", "--mtu", 1400)
    program.refused(program.mssbpf("attach", "v0", "--hook", "clsact", netns=pair.a), 1, "ingress.*no egress side")
    program.attach(pair.a, "v0", "--mtu", 1300)
    shown = program.show(pair.a)
    assert (shown["v0", "egress"]["hook"], shown["v0", "ingress"]["hook"]) == ("tcx", "clsact")
    assert connect(pair) == (1260, 1360)


@pytest.mark.tcx
@pytest.mark.parametrize("before", ("ingress", "foreign filter"))
def test_a_qdisc_of_others_after_ours_was_left(pair, before):
    """Ours was left behind for a while, then replaced by somebody else's: that one is not ours."""
    if before == "ingress":
        program.attach(pair.a, "v0", "--direction", "ingress", "--hook", "clsact")
        program.attach(pair.a, "v0", "--direction", "egress", "--hook", "tcx")
    else:
        program.attach(pair.a, "v0", "--hook", "clsact")
        net.must("tc", "-n", pair.a, "filter", "add", "dev", "v0", "egress", "protocol", "ip", "prio", "9", "u32",
                 "match", "ip", "dst", "192.0.2.77/32", "flowid", "1:1")
        program.attach(pair.a, "v0", "--hook", "tcx")
    net.must("tc", "-n", pair.a, "qdisc", "del", "dev", "v0", "clsact")
    net.must("tc", "-n", pair.a, "qdisc", "add", "dev", "v0", "clsact")
    program.attach(pair.a, "v0", "--direction", "ingress", "--hook", "clsact")
    program.detach(pair.a, "--all")
    assert program.has_clsact(pair.a, "v0")


@pytest.mark.tcx
def test_a_failed_move_leaves_all_as_it_was(pair):
    """A call is refused while an attached interface moves to clsact: hook, limits and qdiscs are the old ones."""
    program.attach(pair.a, "v0", "--mtu", 1400)
    before = program.show(pair.a)
    failed = 0
    for number, result in refusals(pair, "attach", "v0", "--hook", "clsact", "--mtu", "1300", call="sendto",
                                   error="ENOBUFS"):
        if result.status == 0:
            program.attach(pair.a, "v0", "--hook", "tcx", "--mtu", 1400)
            continue
        failed += 1
        assert program.show(pair.a) == before, (number, result)
        assert not program.has_clsact(pair.a, "v0"), (number, result)
    assert failed > 2
