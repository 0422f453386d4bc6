# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Who may read the pins: root and the members of the group mssbpf, if there is one, and nobody else; and nobody but root
changes or holds up anything."""
import json
import os
import pathlib
import re
import stat
import subprocess
import time

import pytest

import net
import program
from test_stats import send

GROUP = 40077
READABLE = {"meta", "limits", "counters", "baseline"}
# Without that capability, all of bpf() was refused to who is not root (Linux 5.19).
CAP_BPF = () if program.at_least(5, 19) else ("--inh-caps", "+bpf", "--ambient-caps", "+bpf")
MEMBER = ("--regid", str(GROUP), "--clear-groups", *CAP_BPF)
MEMBER_TOO = ("--regid", "65534", "--groups", str(GROUP), *CAP_BPF)
OUTSIDER = ("--regid", "65534", "--clear-groups")


SYSCTL = pathlib.Path("/proc/sys/kernel/unprivileged_bpf_disabled")


@pytest.fixture
def group(tmp_path):
    """A file for the place of /etc/group, which has the group; nobody else may load programs."""
    path = tmp_path / "group"
    path.write_text(pathlib.Path("/etc/group").read_text() + f"mssbpf:x:{GROUP}:\n")
    before = SYSCTL.read_text().strip()
    if before == "0":
        SYSCTL.write_text("2")
    yield path
    if before == "0":
        SYSCTL.write_text(before)


def run(pair, group, *command, **options):
    """A command in host a's namespace, on a system with the group."""
    return net.run("unshare", "--mount", "sh", "-ec", 'mount --bind "$1" /etc/group; shift; exec "$@"', "sh", str(group),
                   "nsenter", f"--net=/run/netns/{pair.a}", *command, **options)


def attach(pair, group, *words):
    program.done(run(pair, group, program.MSSBPF, "attach", *words))
    program.loaded.update(program.programs(pair.a))


def user(rights, *command):
    """The command as another user than root."""
    return ("setpriv", "--reuid=65534", *rights, *command)


def rights(path):
    status = os.stat(path)
    return stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid


def check_rights(pair, gid):
    """Folders let the group pass, and only the maps to read can be read."""
    folder = program.PINS / str(net.inode(pair.a))
    pass_mode, read_mode = (0o710, 0o640) if gid else (0o700, 0o600)
    for path in (program.PINS, folder):
        assert rights(path) == (pass_mode, 0, gid), path
    names = {path.name for path in folder.iterdir()}
    assert names > READABLE
    for name in names:
        assert rights(folder / name) == ((read_mode, 0, gid) if name in READABLE else (0o600, 0, 0)), name


@pytest.mark.parametrize("hook", ("clsact", "tcx"))
def test_rights_of_pins(pair, group, hook):
    """By whether there is a group when `attach` comes by: with one, without one, and with one again."""
    attach(pair, group, "v0", "--hook", "clsact")
    check_rights(pair, GROUP)
    program.attach(pair.a, "v0")
    check_rights(pair, 0)
    attach(pair, group, "v0", "--hook", hook if program.bpf.has_tcx() else "clsact")
    check_rights(pair, GROUP)


def test_rights_at_every_moment(pair, group, tmp_path):
    """Nothing is ever open to others, nor to a group that is not the one: it is root's alone first."""
    trace = tmp_path / "trace"
    attach_words = ("strace", "-o", str(trace), "-e", "trace=mkdir,chmod,fchmodat,chown,fchownat,rename", program.MSSBPF)
    program.done(run(pair, group, *attach_words, "attach", "v0"))
    program.loaded.update(program.programs(pair.a))
    calls = [line for line in trace.read_text().splitlines() if "mssbpf" in line]
    modes = [int(mode, 8) for line in calls for mode in re.findall(r"(?<![\w.])0[0-7]{3}\b", line)]
    assert modes and not [mode for mode in modes if mode & 0o007 or mode & 0o020]
    for name in READABLE:
        mine = [line for line in calls if f"/{name}\"" in line]
        assert ["chown" in line for line in mine] == [False, True, False], mine
    renamed, = [number for number, line in enumerate(calls) if line.startswith("rename") and "_new\"," in line and "program" not in line]
    assert not [line for line in calls[renamed:] if re.match("ch(own|mod)", line) and "/limits" in line]


@pytest.mark.parametrize("member", (MEMBER, MEMBER_TOO), ids=("group", "supplementary group"))
def test_members_read(pair, group, public_copy, member):
    """What root reads, though kernel.unprivileged_bpf_disabled refuses other calls (Linux 5.19)."""
    attach(pair, group, "v0", "--mtu", "1400", "--direction", "both")
    send(pair, 4, 1460, 1300)
    result = run(pair, group, *user(member, public_copy, "stats", "--json"))
    assert (result.status, result.stderr) == (0, ""), result
    assert json.loads(result.stdout) == json.loads(program.mssbpf("stats", "--json", netns=pair.a).stdout)
    assert json.loads(result.stdout)[0]["clamped"] == 1


def test_where_users_may_load_programs(pair, group, tmp_path):
    """Those may write to what was opened to be read: nobody but root may read, whoever might before."""
    zero = tmp_path / "zero"
    zero.write_text("0\n")
    attach(pair, group, "v0")
    check_rights(pair, GROUP)
    script = f'mount --bind {zero} {SYSCTL}; exec "$@"'
    result = run(pair, group, "sh", "-ec", script, "sh", program.MSSBPF, "attach", "v0")
    program.loaded.update(program.programs(pair.a))
    assert (result.status, result.stdout) == (0, ""), result
    assert re.match(r"mssbpf: warning: the group mssbpf may not read: .*unprivileged_bpf_disabled is 0, .*\n$",
                    result.stderr), result
    check_rights(pair, 0)


@pytest.mark.parametrize("words", (("attach", "v0", "--mtu=1300"), ("detach", "v0"), ("detach", "--all"), ("show",),
                                   ("stats", "--reset")), ids=" ".join)
def test_members_change_nothing(pair, group, public_copy, words):
    attach(pair, group, "v0", "--mtu", "1400")
    send(pair, 4, 1460)
    before = program.show(pair.a), program.counted(pair.a, "v0")
    program.refused(run(pair, group, *user(MEMBER, public_copy, *words)), 1, r"\broot\b")
    assert (program.show(pair.a), program.counted(pair.a, "v0")) == before


def test_members_have_no_other_way(pair, group):
    """Not by the files: they cannot be listed, removed, replaced, locked, or opened to be written."""
    attach(pair, group, "v0", "--mtu", "1400")
    folder = program.PINS / str(net.inode(pair.a))
    program_pin = next(folder.glob("mssbpf_*"))
    for command in (("ls", program.PINS), ("ls", folder), ("rm", "-f", folder / "limits"), ("rmdir", folder),
                    ("mv", folder / "limits", folder / "counters"), ("chmod", "0666", folder / "limits"),
                    ("flock", "--nonblock", program.PINS, "true"), ("flock", "--nonblock", folder, "true"),
                    ("bpftool", "map", "dump", "pinned", folder / "rules"),
                    ("bpftool", "prog", "show", "pinned", program_pin),
                    ("bpftool", "map", "update", "pinned", folder / "meta", "key", "0", "0", "0", "0", "value",
                     *["0"] * 16)):
        result = run(pair, group, *user(MEMBER, *map(str, command)))
        assert result.status != 0 and "ermi" in result.stdout + result.stderr, result
    check_rights(pair, GROUP)


def test_others_read_nothing(pair, group, public_copy):
    """They are told what it takes."""
    attach(pair, group, "v0")
    result = run(pair, group, *user(OUTSIDER, public_copy, "stats"))
    program.refused(result, 1, r"Permission denied; this takes root, or to read alone, the group mssbpf\n$")
    folder = program.PINS / str(net.inode(pair.a))
    for path in (program.PINS, folder, folder / "limits"):
        assert run(pair, group, *user(OUTSIDER, "ls", str(path))).status != 0


def test_bpffs_of_root_alone(pair, group, public_copy):
    """As systemd mounts it: the group may pass through it, too, and other rights to it stay."""
    member = " ".join(user(MEMBER))
    for mode, expected in ((0o1700, 0o1710), (0o1777, 0o1777)):
        script = (f'mount -t bpf bpf /sys/fs/bpf; chmod {mode:o} /sys/fs/bpf; "$0" attach v0; stat -c "%a %G" /sys/fs/bpf;'
                  f'{member} "$0" stats; "$0" detach --all;'
                  f'stat -c %a /sys/fs/bpf; {member} "$0" stats')
        result = run(pair, group, "unshare", "--mount", "sh", "-ec", script, public_copy)
        lines = result.stdout.splitlines()
        assert (result.status, result.stderr) == (0, ""), result
        assert lines[0] == f"{expected:o} {'mssbpf' if expected == 0o1710 else 'root'}"
        assert lines[2].split()[0] == "v0" and lines[-1] == f"{expected:o}"


@pytest.mark.parametrize("words", (("attach", "v0"), ("show",), ("detach", "--all")), ids=" ".join)
@pytest.mark.parametrize("trap", ("setpriv --reuid=65534 --regid=65534 --clear-groups mkdir /sys/fs/bpf/mssbpf",
                                  "mkdir -m 0777 /sys/fs/bpf/mssbpf"), ids=("somebody's", "everybody's"))
def test_a_folder_of_somebody_else(pair, trap, words):
    """Made ahead of us where bpffs is open to all: its owner could remove what is pinned there."""
    script = f'mount -t bpf bpf /sys/fs/bpf; {trap}; "$0" "$@"'
    result = net.run("nsenter", f"--net=/run/netns/{pair.a}", "unshare", "--mount", "sh", "-ec", script, program.MSSBPF,
                     *words)
    program.refused(result, 1, r"^mssbpf: /sys/fs/bpf/mssbpf: user \d+ made it or may write to it")
    assert sum(program.attached(pair.a, "v0", "egress")) == 0


@pytest.mark.parametrize("again", (False, True), ids=("detach", "detach and attach"))
def test_reading_while_pins_are_taken_away(pair, again):
    """Held up before each of its calls of bpf(2), `stats` sees what was there or what is there, never a part of it."""
    for number in range(1, 14):
        program.attach(pair.a, "v0")
        reader = subprocess.Popen(
            ["strace", "-o", "/dev/null", "-e", "trace=bpf", "-e", f"inject=bpf:delay_enter=400000:when={number}",
             program.MSSBPF, "stats", "--json", "--netns", pair.a],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(0.2)
        program.detach(pair.a, "--all")
        if again:
            program.attach(pair.a, "v0")
        stdout, stderr = reader.communicate(timeout=15 * net.PATIENCE)
        assert (reader.returncode, stderr) == (0, ""), number
        assert [entry["interface"] for entry in json.loads(stdout)] in ([], ["v0"]), number
