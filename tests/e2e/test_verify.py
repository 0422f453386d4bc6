# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""`mssbpf verify`: says ok of what clamps as its entry says, FAILED of what does not, and leaves no trace of its packets."""
import json
import re
import subprocess
import threading

import pytest

import bpf
import flood
import net
import packets
import program

OK = r"ok: 32 packets \((?:tcx|clsact|xdp-\w+), program \d+\)"
HANDLE = ("prio", "77", "handle", "0x4d5353")


def verified(namespace, *arguments):
    """The lines of a verify that finds nothing wrong."""
    result = program.mssbpf("verify", *arguments, netns=namespace)
    assert (result.status, result.stderr) == (0, ""), result
    return result.stdout.splitlines()


def failed(namespace, *arguments):
    """What one that finds something wrong prints."""
    result = program.mssbpf("verify", *arguments, netns=namespace)
    assert (result.status, result.stderr) == (1, ""), result
    return result.stdout


def folder(namespace):
    return program.PINS / str(net.inode(namespace))


def mark(namespace):
    """The mark that the programs look for."""
    watch, = json.loads(net.must("bpftool", "--json", "map", "dump", "pinned", str(folder(namespace) / "watch")))
    return int.from_bytes(bytes(int(byte, 16) for byte in watch["value"][8:16]), "little")


LIMITS = {
    "MTU": ("--mtu", "1400"),
    "the lowest": ("--mss4", "1", "--mss6", "1"),
    "the highest": ("--mss4", "65495", "--mss6", "65475"),
    "family by family": ("--mss4", "1234", "--mss6", "567"),
    "the device's": ("--mtu", "auto"),
    "the route's": ("--mtu", "route"),
    "the route's, both ways": ("--mtu", "route", "--both-ways"),
    "none": ("--mtu", "none"),
    "dry run": ("--mtu", "1400", "--dry-run"),
    "added": ("--mtu", "1400", "--add-missing"),
    "added, low": ("--mss4", "400", "--mss6", "400", "--add-missing"),
    "added, the limit": ("--mtu", "1400", "--add-missing=limit"),
    "added by route": ("--mtu", "route", "--add-missing=limit"),
    "added, none": ("--mtu", "none", "--add-missing"),
    "added, dry run": ("--mtu", "1400", "--add-missing", "--dry-run"),
}
HOOKS = {
    "tc": ("--direction", "both"),
    "clsact": ("--hook", "clsact", "--direction", "both"),
    "xdp": ("--hook", "xdp"),
    "generic": ("--hook", "xdp", "--xdp-mode", "generic"),
}


def attach(namespace, device, *arguments):
    """Returns False where this kernel has no such limit; `--mtu auto` warns where it is not followed."""
    result = program.mssbpf("attach", device, *arguments, netns=namespace)
    if "route" in arguments and not program.at_least(5, 12):
        program.refused(result, 1, r"5\.12")
        return False
    assert result.status == 0, result
    return True


@pytest.mark.vm
@pytest.mark.parametrize("hook", HOOKS.values(), ids=HOOKS)
def test_whatever_the_limit(pair, hook):
    for limit in LIMITS.values():
        if not attach(pair.a, "v0", *hook, *limit):
            continue
        if "xdp" in hook and not program.at_least(5, 15):
            assert failed(pair.a) == ("v0 ingress: FAILED: not verified: this kernel cannot run an XDP program on a "
                                      "packet of a device (Linux 5.15)\n")
            continue
        lines = verified(pair.a, "v0")
        assert len(lines) == (2 if "both" in hook else 1)
        for line in lines:
            assert re.fullmatch(rf"v0 (egress|ingress): {OK}", line), (limit, line)
        assert all(program.counted(pair.a, "v0", line.split()[1].rstrip(":")) == {} for line in lines)
    assert mark(pair.a) == 0


@pytest.mark.vm
def test_without_ethernet_header(pair):
    net.ip("-n", pair.a, "tuntap", "add", "t0", "mode", "tun")
    for limit in LIMITS.values():
        if not attach(pair.a, "t0", "--direction", "both", *limit):
            continue
        out, back = verified(pair.a)
        assert re.fullmatch(f"t0 egress: {OK}", out) and re.fullmatch(f"t0 ingress: {OK}", back), (limit, out, back)


def test_route_below_the_device(pair):
    """The limit is that of the route then, which only the program finds."""
    net.ip("-n", pair.a, "route", "add", "default", "via", "192.0.2.2", "mtu", "lock", "1300")
    program.attach(pair.a, "v0", "--mtu", "route", "--add-missing=limit")
    assert re.fullmatch(f"v0 egress: {OK}", *verified(pair.a))


RULES = """198.51.100.0/24 mtu 1300
198.51.100.0/25 mss 1000
198.51.100.0/32 off
0.0.0.0/0 mss 1200
2001:db8::/32 mtu 1280
2001:db8:1::/48 off
8.0.2.0/24 mss 777
"""


@pytest.mark.parametrize("device", ("v0", "t0"))
def test_rules(pair, tmp_path, device):
    """Each is tried, where a packet can have such an address: in test runs, one without Ethernet header cannot have any source."""
    (tmp_path / "rules").write_text(RULES, encoding="ascii")
    net.ip("-n", pair.a, "tuntap", "add", "t0", "mode", "tun")
    program.attach(pair.a, device, "--mtu", "1400", "--direction", "both", "--add-missing=limit")
    program.done(program.mssbpf("rule", "load", device, tmp_path / "rules", netns=pair.a))
    out, back = verified(pair.a, device)
    reachable = {"v0": 7, "t0": 3}[device]
    assert re.fullmatch(rf"{device} egress: ok: 39 packets, 7 of 7 rules \(\w+, program \d+\)", out)
    assert re.fullmatch(rf"{device} ingress: ok: {32 + reachable} packets, {reachable} of 7 rules \(\w+, program \d+\)",
                        back)


def test_json(pair):
    program.attach(pair.a, "v0", "--mtu", "1400")
    result = program.mssbpf("verify", "--json", netns=pair.a)
    assert (result.status, result.stderr) == (0, "")
    entry, = json.loads(result.stdout)
    shown = program.show(pair.a)["v0", "egress"]
    assert entry == {"interface": "v0", "ifindex": net.ifindex(pair.a, "v0"), "direction": "egress",
                     "hook": shown["hook"], "program_id": shown["program_id"], "ok": True, "problem": None,
                     "packets": 32, "rules": 0, "rules_verified": 0, "failures": []}


def replace_filter(pair, stand_in, name="mssbpf_tc_false"):
    """Puts a program of the test's in the place of ours in clsact; tc calls the filter as its pin."""
    net.must("tc", "-n", pair.a, "filter", "del", "dev", "v0", "egress", *HANDLE, "protocol", "all", "bpf")
    stand_in.attach_filter(pair.a, "v0", "egress", program.PINS.parent / name, *HANDLE)
    return stand_in


@pytest.fixture
def clsact(pair):
    program.attach(pair.a, "v0", "--mtu", "1400", "--hook", "clsact")
    yield pair
    net.must("tc", "-n", pair.a, "qdisc", "del", "dev", "v0", "clsact")


def counters_user(pair, verdict):
    """A program that has our map and does nothing with it, in the place of ours."""
    return replace_filter(pair, bpf.MapUser("mssbpf_tc_false", folder(pair.a) / "counters", verdict))


def test_program_that_does_nothing(clsact):
    stand_in = counters_user(clsact, bpf.NEXT)
    said = failed(clsact.a)
    lines = said.splitlines()
    assert re.fullmatch(rf"v0 egress: FAILED: 18 of 32 packets \(clsact, program {stand_in.number}\)", lines[0])
    assert "\n  IPv4 SYN, MSS at an odd offset: MSS 1361 instead of 1360\n" in said
    assert re.search(r"^    sent .*\n    came out ", said, re.M)
    result = program.mssbpf("verify", "--json", "v0", netns=clsact.a)
    entry, = json.loads(result.stdout)
    assert (result.status, entry["ok"], len(entry["failures"])) == (1, False, 18)
    failure, = [one for one in entry["failures"] if one["packet"] == "IPv4 SYN, MSS at an odd offset"]
    assert set(failure) == {"packet", "problem", "sent", "came_out"}
    assert failure["sent"] == failure["came_out"]
    segment = packets.dissect(bytes.fromhex(failure["sent"]))
    assert (segment.mss, segment.checksum_right) == ([1361], True)
    stand_in.close()


def test_program_that_ends_the_chain(clsact):
    stand_in = counters_user(clsact, bpf.PASS)
    said = failed(clsact.a)
    assert said.startswith("v0 egress: FAILED: 32 of 32 packets (")
    assert "the program returns 0 instead of -1: it does not let the packet go on" in said
    stand_in.close()


def test_program_with_other_maps(clsact):
    stand_in = replace_filter(clsact, bpf.Program("mssbpf_tc_false", bpf.RETURN_NEXT))
    assert failed(clsact.a) == (f"v0 egress: FAILED: the attached program obeys other maps than those in "
                                f"{folder(clsact.a)}: 'mssbpf detach', then attach anew\n")
    stand_in.close()


@pytest.mark.parametrize("wrong,of", (("mssbpf_tc_l3_egress", ("t0",)),
                                      ("mssbpf_tc_eth_ingress", ("v0", "--direction", "ingress"))))
def test_wrong_one_of_ours(clsact, wrong, of):
    net.ip("-n", clsact.a, "tuntap", "add", "t0", "mode", "tun")
    program.attach(clsact.a, *of)
    net.must("tc", "-n", clsact.a, "filter", "del", "dev", "v0", "egress", *HANDLE, "protocol", "all", "bpf")
    net.must("nsenter", f"--net=/run/netns/{clsact.a}", "tc", "filter", "add", "dev", "v0", "egress", *HANDLE, "bpf",
             "direct-action", "object-pinned", str(folder(clsact.a) / wrong))
    assert failed(clsact.a).startswith("v0 egress: FAILED: 18 of 32 packets (clsact, ")


NOT_ATTACHED = "v0 egress: FAILED: no program of mssbpf is attached, though it was: 'mssbpf attach' does it again\n"


def test_filter_of_somebody_else(clsact):
    stand_in = replace_filter(clsact, bpf.Program("foreign", bpf.RETURN_NEXT), "foreign")
    assert failed(clsact.a, "v0") == NOT_ATTACHED
    assert failed(clsact.a, "v0") == NOT_ATTACHED  # it did not clean up
    stand_in.close()


@pytest.mark.tcx
def test_detached_by_somebody_else(pair):
    program.attach(pair.a, "v0", "--mtu", "1400", "--hook", "tcx")
    bpf.detach_link(folder(pair.a) / f"link_{net.ifindex(pair.a, 'v0')}_egress")
    assert failed(pair.a, "v0") == NOT_ATTACHED
    entry, = json.loads(failed(pair.a, "--json"))
    assert (entry["ok"], entry["hook"], entry["program_id"], entry["packets"]) == (False, None, None, 0)
    assert entry["problem"] in NOT_ATTACHED
    program.attach(pair.a, "v0", "--mtu", "1400")
    assert re.fullmatch(f"v0 egress: {OK}", *verified(pair.a))


def test_one_of_several(clsact):
    """One that is wrong does not hide those that are right."""
    clsact.join("x0", "x1")
    program.attach(clsact.a, "x0", "--mtu", "1400")
    stand_in = replace_filter(clsact, bpf.Program("mssbpf_tc_false", bpf.RETURN_NEXT))
    said = failed(clsact.a).splitlines()
    assert said[0].startswith("v0 egress: FAILED: ") and re.fullmatch(f"x0 egress: {OK}", said[1])
    assert re.fullmatch(f"x0 egress: {OK}", *verified(clsact.a, "x*"))
    stand_in.close()


def test_nothing_is_counted_and_nothing_missed(pair):
    """Its packets are neither counted nor told; real ones beside them are."""
    program.attach(pair.a, "v0", "--mtu", "1400", "--direction", "both")
    program.attach(pair.b, "v1", "--mtu", "1500", "--direction", "ingress")
    with subprocess.Popen([program.MSSBPF, "monitor", "--netns", pair.a, "--result", "already_low,no_mss,malformed"],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as monitor:
        source, target = pair.addresses[4]
        segment = packets.with_checksum(4, source, target, packets.tcp(packets.mss_option(1460)))
        frame = packets.frame(b"\x02\0\0\0\0\x99", net.mac(pair.a, "v0"), 4,
                              packets.ip_packet(4, source, target, segment))
        sent = []
        with flood.Flood(pair.a, "v0", frame) as sender:
            sending = threading.Thread(target=lambda: sent.append(sender.send(60)))
            sending.start()
            rounds = 0
            while sending.is_alive() or rounds < 20:
                assert len(verified(pair.a)) == 2
                rounds += 1
            sending.join()
        monitor.terminate()
        assert monitor.stdout.read() == ""
    assert program.counted(pair.a, "v0") == {"syn": sent[0], "clamped": sent[0]}
    assert program.counted(pair.a, "v0", "ingress") == {}
    assert program.counted(pair.b, "v1", "ingress") == {"syn": sent[0], "already_low": sent[0]}
    assert mark(pair.a) == 0


def test_mtu_changes_meanwhile(pair):
    """With limits that follow it."""
    program.attach(pair.a, "v0", "--mtu", "auto", "--direction", "both")
    done = threading.Event()

    def change():
        mtu = 1280
        while not done.is_set():
            net.ip("-n", pair.a, "link", "set", "v0", "mtu", str(mtu))
            mtu = 1280 + (mtu + 7) % 220

    changing = threading.Thread(target=change)
    changing.start()
    try:
        for _ in range(40):
            assert len(verified(pair.a)) == 2
    finally:
        done.set()
        changing.join()


def test_several_at_once(pair):
    program.attach(pair.a, "v0", "--mtu", "1400")
    running = [subprocess.Popen([program.MSSBPF, "verify", "--netns", pair.a], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True) for _ in range(8)]
    for one in running:
        stdout, stderr = one.communicate(timeout=net.TIMEOUT)
        assert (one.returncode, stderr) == (0, "") and re.fullmatch(f"v0 egress: {OK}\n", stdout)
    assert (program.counted(pair.a, "v0"), mark(pair.a)) == ({}, 0)


def test_refusals(pair, public_copy):
    program.refused(program.mssbpf("verify", netns=pair.a), 1, "^mssbpf: verify: nothing is attached: ")
    program.refused(program.mssbpf("verify", "v0", netns=pair.a), 1, "^mssbpf: v0: not attached\n$")
    program.attach(pair.a, "v0", "--mtu", "1400")
    pair.join("x0", "x1")
    for argument, message in (("x0", "x0: not attached"), ("wg9", "wg9: no such interface"),
                              ("x*", r"x\*: none of the interfaces that match is attached")):
        program.refused(program.mssbpf("verify", argument, netns=pair.a), 1, f"^mssbpf: {message}\n$")
    program.refused(program.mssbpf("verify", "--all", netns=pair.a), 2, "^mssbpf: verify: unknown or ambiguous option")
    result = net.run("nsenter", f"--net=/run/netns/{pair.a}", "setpriv", "--reuid", "65534", "--clear-groups",
                     "--inh-caps=-all", public_copy, "verify")
    program.refused(result, 1, "^mssbpf: not permitted: this takes root")
