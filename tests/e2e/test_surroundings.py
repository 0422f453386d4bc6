# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What the system around the command lacks or hides: rights, bpffs, the right mount namespace.

Each is named, with what to do about it, and nothing is changed.
"""
import pytest

import net
import program

VERBS = (("attach", "v0"), ("detach", "v0"), ("detach", "--all"), ("show",), ("stats",))


def inside(pair, *command):
    """A command in host a's network namespace, with the mounts of the caller."""
    return net.run("nsenter", f"--net=/run/netns/{pair.a}", *command)


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_not_root(pair, public_copy, words):
    program.attach(pair.a, "v0", "--mtu", 1400)
    before = program.show(pair.a)
    result = inside(pair, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", public_copy, *words,
                    "--mtu=1300" if words[0] == "attach" else "--verbose")
    program.refused(result, 1, r"\broot\b|CAP_BPF")
    assert program.show(pair.a) == before


def test_not_root_but_asking_for_help(clean, public_copy):
    result = net.run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", public_copy, "attach", "--help")
    assert (result.status, result.stderr) == (0, "")


@pytest.mark.parametrize("words,missing", (
    *((words, missing) for words in VERBS[:3] for missing in (("BPF",), ("NET_ADMIN",), ("BPF", "NET_ADMIN"))),
    (VERBS[0], ("PERFMON",))), ids=lambda value: " ".join(value))
def test_missing_capabilities(pair, words, missing):
    """The message ends with the ones that are missing, and only these. CAP_SYS_ADMIN stands for some of them."""
    program.attach(pair.a, "v0", "--mtu", 1400)
    before = program.show(pair.a)
    drop = ",".join(f"-{name.lower()}" for name in ("SYS_ADMIN", *missing))
    result = inside(pair, "setpriv", f"--bounding-set={drop}", program.MSSBPF, *words)
    program.refused(result, 1, "missing:" + "".join(f" CAP_{name}" for name in missing) + r"\n$")
    assert program.show(pair.a) == before


@pytest.mark.parametrize("enough", ("sys_admin,net_admin", "bpf,net_admin,perfmon"))
def test_enough_capabilities(pair, enough):
    """What the message asks for is what it takes."""
    keep = "-all," + ",".join(f"+{name}" for name in enough.split(","))
    for words, expected in ((("attach", "v0", "--mtu", "1400"), True), (("detach", "v0"), False)):
        program.done(inside(pair, "setpriv", f"--bounding-set={keep}", program.MSSBPF, *words))
        assert bool(program.show(pair.a)) == expected


def without_bpffs(script, *arguments):
    """Runs a shell script where /sys/fs/bpf is not mounted, as on a system that never did; $0 is mssbpf.

    A PID namespace of its own makes its mount namespace look like the system's first.
    """
    return net.run("unshare", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-ec",
                   f"while mountpoint -q /sys/fs/bpf; do umount /sys/fs/bpf; done; {script}",
                   program.MSSBPF, *arguments)


def test_bpffs_is_mounted_when_missing(pair):
    result = without_bpffs(
        '"$0" attach --netns "$1" v0 --mtu 1400; mountpoint -q /sys/fs/bpf; "$0" show --netns "$1";'
        '"$0" detach --netns "$1" --all; ls /sys/fs/bpf', pair.a)
    assert (result.status, result.stderr) == (0, ""), result
    assert "1360" in result.stdout and "mssbpf" not in result.stdout, result


@pytest.mark.parametrize("words", (("show",), ("stats",), ("detach", "--all")), ids=" ".join)
def test_nothing_is_mounted_to_find_nothing(pair, words):
    result = without_bpffs('"$0" "$@"; ! mountpoint -q /sys/fs/bpf', words[0], "--netns", pair.a, *words[1:])
    program.done(result)


def test_bpffs_that_cannot_be_mounted(pair):
    """The message says how."""
    result = without_bpffs(
        'exec nsenter --net=/run/netns/"$1" setpriv --bounding-set=-sys_admin "$0" attach v0', pair.a)
    program.refused(result, 1, r"/sys/fs/bpf.*mount -t bpf")


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_inside_ip_netns_exec(pair, words):
    """ip-netns(8) hides /sys/fs/bpf: --netns is the way, and the message says so."""
    program.attach(pair.a, "v0", "--mtu", 1400)
    before = program.show(pair.a)
    result = net.run("ip", "netns", "exec", pair.a, program.MSSBPF, *words)
    program.refused(result, 1, r"/sys/fs/bpf.*--netns")
    assert program.show(pair.a) == before


def test_netns_from_outside(pair):
    """By name and by path; the pins are seen from outside and outlive the command."""
    for namespace in (pair.a, f"/run/netns/{pair.a}"):
        program.attach(namespace, "v0", "--mtu", 1400)
        assert program.pins(pair.a)
        assert program.show(pair.a)["v0", "egress"]["mtu"] == 1400
        program.detach(namespace, "v0")
        assert program.pins(pair.a) == []


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
def test_something_else_in_the_place_of_our_folder(pair, words):
    """An error in words; it is left as it is."""
    result = without_bpffs(
        "mount -t bpf bpf /sys/fs/bpf;"
        "bpftool map create /sys/fs/bpf/mssbpf type array key 4 value 4 entries 1 name foreign;"
        'code=0; "$0" "$@" || code=$?; bpftool map dump pinned /sys/fs/bpf/mssbpf >/dev/null; exit $code',
        words[0], "--netns", pair.a, *words[1:])
    program.refused(result, 1, r"^mssbpf: /sys/fs/bpf/mssbpf")
