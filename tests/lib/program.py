# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Runs the program under test, and looks at what it left in the kernel by other means than itself.

Other means: bpftool, tc, the file system, bpf(2). Not a fixture: those are in e2e/conftest.py.
"""
import json
import os
import pathlib
import platform
import re
import time

import pytest

import bpf
import net

ROOT = pathlib.Path(__file__).resolve().parents[2]
MSSBPF = os.environ.get("MSSBPF", str(ROOT / "mssbpf"))
PINS = pathlib.Path("/sys/fs/bpf/mssbpf")
loaded = set()  # ids of the programs that attach loaded since leftover_programs() was last called
RESULTS = ("clamped", "already_low", "no_mss", "malformed", "truncated", "ah", "tcp_ao", "unwritable", "added",
           "exempt")


def mssbpf(verb, *arguments, netns=None, **options):
    """Runs one command; returns its Result. It must not print data and an error on the same stream."""
    where = ("--netns", netns) if netns else ()
    result = net.run(MSSBPF, verb, *where, *(str(argument) for argument in arguments), **options)
    if verb == "attach" and netns and os.path.exists(f"/run/netns/{netns}"):
        loaded.update(programs(netns))
    return result


def done(result, stdout="", stderr=""):
    """The command succeeded and said exactly this."""
    assert (result.status, result.stdout, result.stderr) == (0, stdout, stderr), result
    return result


def refused(result, status, message):
    """The command failed with this status, data-free, and one message that matches."""
    assert result.status == status, result
    assert result.stdout == "", result
    assert re.search(message, result.stderr), result
    assert result.stderr.startswith("mssbpf: "), result
    return result


def attach(netns, *arguments):
    """Attaches. Programs cannot tell an MTU before Linux 5.12: there `--mtu auto` is warned of, and `--mtu route` refused,
    which is all that its test can say."""
    result = mssbpf("attach", *arguments, netns=netns)
    if not at_least(5, 12) and "route" in arguments:
        refused(result, 1, r"--mtu route: .*5\.12")
        pytest.skip("this kernel cannot tell the programs a route's MTU (5.12)")
    if not at_least(5, 12) and "auto" in arguments:
        assert re.fullmatch(r"mssbpf: warning: --mtu auto: [^\n]*5\.12[^\n]*\n", result.stderr), result
        return done(result, stderr=result.stderr)
    return done(result)


def detach(netns, *arguments):
    return done(mssbpf("detach", *arguments, netns=netns))


def _json(verb, netns, *interfaces):
    result = mssbpf(verb, "--json", *interfaces, netns=netns)
    assert (result.status, result.stderr) == (0, ""), result
    return json.loads(result.stdout)


def show(netns, *interfaces):
    """What `show --json` says, by (interface, direction)."""
    return {(entry["interface"], entry["direction"]): entry for entry in _json("show", netns, *interfaces)}


def stats(netns, device, direction="egress"):
    """What `stats --json` says of one interface and direction."""
    found = [entry for entry in _json("stats", netns, device) if entry["direction"] == direction]
    assert len(found) == 1, found
    return found[0]


def counted(netns, device, direction="egress"):
    """The counters that are not zero, as {name: number}; checks that the parts add up to the whole."""
    entry = stats(netns, device, direction)
    for part in (entry, entry["ipv4"], entry["ipv6"]):
        assert part["syn"] == part["syn_only"] + part["syn_ack"], entry
        assert part["syn"] + part["unreadable"] == sum(part[name] for name in RESULTS), entry
    names = ("syn", "unreadable", *RESULTS)
    for name in names:
        assert entry[name] == entry["ipv4"][name] + entry["ipv6"][name], entry
    return {name: entry[name] for name in names if entry[name]}


def pins(namespace):
    """Everything that is pinned for a namespace, drafts and what is being removed included."""
    return sorted(str(path) for folder in PINS.glob(f"{net.inode(namespace)}*") for path in (folder, *folder.iterdir()))


def programs(namespace):
    """Ids of the programs that are pinned for a namespace."""
    return {bpf.pinned_program(path) for path in (PINS / str(net.inode(namespace))).glob("mssbpf_*")}


def xdp(namespace, device):
    """The XDP program on a device, as (mode, id), or None."""
    found = json.loads(net.must("ip", "-n", namespace, "-json", "link", "show", device))[0].get("xdp")
    return found and ({1: "native", 2: "generic"}[found["mode"]], found["prog"]["id"])


def at_least(*version):
    """Tells whether the kernel is of this version or newer."""
    return tuple(int(number) for number in re.findall(r"\d+", platform.release())[:2]) >= version


def leftover_programs(timeout=3 * net.PATIENCE):
    """Which of the programs that attach loaded are still there; the kernel frees them a little later."""
    deadline = time.monotonic() + timeout
    while any(bpf.program_exists(number) for number in loaded) and time.monotonic() < deadline:
        time.sleep(0.01)
    left = {number for number in loaded if bpf.program_exists(number)}
    loaded.clear()
    return left


def filters(namespace, device, direction):
    """The lines tc prints of the filters on a device."""
    return [line for line in net.must("tc", "-n", namespace, "filter", "show", "dev", device, direction).splitlines()
            if line.strip()]


def our_filters(namespace, device, direction):
    return [line for line in filters(namespace, device, direction) if "mssbpf_" in line]


def our_filters_anywhere(namespace):
    """The lines tc prints of filters of ours on all devices."""
    lines = [f"filter show dev {device} {direction}\n"
             for device in net.devices(namespace) for direction in ("ingress", "egress")]
    shown = net.must("tc", "-n", namespace, "-batch", "-", stdin="".join(lines))
    return [line for line in shown.splitlines() if "mssbpf_" in line]


def has_clsact(namespace, device):
    return "clsact" in net.must("tc", "-n", namespace, "qdisc", "show", "dev", device)


def attached(namespace, device, direction):
    """How many programs are attached there by TCX and by filter, whoever they are of."""
    tcx = len(bpf.tcx_programs(namespace, device, direction)) if bpf.has_tcx() else 0
    return tcx, sum(" bpf " in line and "handle" in line for line in filters(namespace, device, direction))
