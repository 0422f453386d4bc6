# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What a command line gets that cannot be obeyed: exit status, a message that helps, and nothing changed.

What the system around lacks (rights, bpffs) is in test_surroundings.py.
"""
import re

import pytest

import net
import program

NOT_NUMBERS = ("abc", "14x20", "", "-5", " 1400", "1400 ", "+1400", "0x5dc", "1e3", "1400.0", "1 400", "٤٠٠",
               "99999999999999999999", "18446744073709552916", "4294968696")
MTU, MSS = ("0", "1", "575", "65536", "4294967295"), ("0", "65496", "65536", "4294967295")
RANGES = {"--mtu": r"\b576\b.*\b65535\b", "--mss4": r"\b1\b.*\b65495\b", "--mss6": r"\b1\b.*\b65495\b"}


def nothing_attached(pair):
    assert program.pins(pair.a) == []
    for direction in ("egress", "ingress"):
        assert sum(program.attached(pair.a, "v0", direction)) == 0
    assert not program.has_clsact(pair.a, "v0")


@pytest.mark.parametrize("option,value", [
    *((option, value) for option in RANGES for value in NOT_NUMBERS),
    *(("--mtu", value) for value in MTU), *((option, value) for option in ("--mss4", "--mss6") for value in MSS)])
@pytest.mark.parametrize("joined", (False, True), ids=("", "="))
def test_numbers(pair, option, value, joined):
    """The message names the option, the value and the legal range."""
    words = [f"{option}={value}"] if joined else [option, value]
    result = program.mssbpf("attach", "v0", *words, netns=pair.a)
    program.refused(result, 2, RANGES[option])
    assert option in result.stderr and f"'{value}'" in result.stderr
    nothing_attached(pair)


@pytest.mark.parametrize("value", ("0", "x", "", "-1", "99999999999999999999"))
def test_max_entries(pair, value):
    program.refused(program.mssbpf("attach", "v0", "--max-entries", value, netns=pair.a), 2, r"max-entries.*\b1\b")
    nothing_attached(pair)


@pytest.mark.parametrize("option,value,expected", (
    ("--mtu", 1280, (1280, 1240, 1220)), ("--mtu", 1500, (1500, 1460, 1440)),
    ("--mtu", "01400", (1400, 1360, 1340)), ("--mss4", 1, (1500, 1, 1440)), ("--mss6", 1, (1500, 1460, 1))))
def test_numbers_at_the_edge(pair, option, value, expected):
    program.attach(pair.a, "v0", option, value)
    entry = program.show(pair.a)["v0", "egress"]
    assert (entry["mtu"], entry["mss4"], entry["mss6"]) == expected


@pytest.mark.parametrize("mtu", (1501, 65535))
def test_mtu_larger_than_the_device(pair, mtu):
    """Legal, with a warning: the device's own MTU is the smaller one."""
    result = program.mssbpf("attach", "v0", "--mtu", mtu, netns=pair.a)
    assert (result.status, result.stdout) == (0, "")
    assert re.search(rf"^mssbpf: warning: v0: .*{mtu}.*1500", result.stderr), result
    assert len(result.stderr.splitlines()) == 1
    entry = program.show(pair.a)["v0", "egress"]
    assert (entry["mtu"], entry["mss4"], entry["mss6"]) == (mtu, mtu - 40, mtu - 60)


@pytest.mark.parametrize("mtu", (576, 1279))
def test_mtu_too_small_for_ipv6(pair, mtu):
    """Legal, with a warning."""
    result = program.mssbpf("attach", "v0", "--mtu", mtu, netns=pair.a)
    assert (result.status, result.stdout) == (0, "")
    assert re.search(rf"^mssbpf: warning: .*{mtu}.*IPv6.*1280", result.stderr), result
    assert len(result.stderr.splitlines()) == 1
    entry = program.show(pair.a)["v0", "egress"]
    assert (entry["mss4"], entry["mss6"]) == (mtu - 40, mtu - 60)


def test_the_mtu_of_a_device_out_of_range(pair):
    net.ip("-n", pair.a, "link", "set", "v0", "mtu", "500")
    program.refused(program.mssbpf("attach", "v0", netns=pair.a), 1, r"^mssbpf: v0: .*500.*576.*65535.*--mtu")
    nothing_attached(pair)
    result = program.mssbpf("attach", "v0", "--mtu", 1400, netns=pair.a)
    assert result.status == 0, result


@pytest.mark.parametrize("words,message", (
    ((), "verb"),
    (("clamp",), r"'clamp'"), (("attac", "v0"), "'attac'"), (("ATTACH", "v0"), "'ATTACH'"), (("",), "''"),
    (("--mtu", "1400"), "--mtu"), (("-z",), "-z"),
    (("attach",), "interface"), (("attach", "--mtu", "1400"), "interface"),
    (("attach", "v0", "--mtu"), r"--mtu"), (("attach", "v0", "--frob"), r"--frob"), (("attach", "v0", "-Q"), "-Q"),
    (("attach", "v0", "--mtu", "1400", "--frob=1"), "--frob"), (("attach", "v0", "-QR"), "-QR|-Q|'Q'"),
    (("attach", "v0", "--dry-run=yes"), "dry-run"),
    (("attach", "v0", "--direction", "up"), r"'up'.*egress.*ingress.*both"),
    (("attach", "v0", "--direction", ""), r"''.*egress.*ingress.*both"),
    (("attach", "v0", "--hook", "xdp2"), r"'xdp2'.*tc.*tcx.*clsact"),
    (("attach", "v0", "--json"), "--json"),
    (("detach",), "--all"), (("detach", "v0", "--all"), "--all"), (("detach", "--mtu", "1400", "v0"), "--mtu"),
    (("show", "--mtu", "1400"), "--mtu"), (("stats", "--frob"), "--frob"),
), ids=lambda value: " ".join(value) if isinstance(value, tuple) else "")
def test_words(pair, words, message):
    """Unknown or missing verb, option, value, argument: wrong usage, and where to read on."""
    where = ["--netns", pair.a] if words and words[0] in ("attach", "detach", "show", "stats") else []
    result = net.run(program.MSSBPF, *words[:1], *where, *words[1:])
    program.refused(result, 2, message)
    assert "--help" in result.stderr
    nothing_attached(pair)


@pytest.mark.parametrize("words", (
    ("--help",), ("-h",), *((verb, option) for verb in ("attach", "detach", "show", "stats", "probe")
                            for option in ("--help", "-h")), ("attach", "v0", "--mtu", "1400", "--help")),
    ids=" ".join)
def test_help(clean, words):
    """On stdout, whatever else stands there, and nothing is done."""
    result = net.run(program.MSSBPF, *words)
    assert (result.status, result.stderr) == (0, "")
    assert result.stdout.startswith("Usage: mssbpf")
    if words[0] == "attach":
        for option in ("--mtu", "--mss4", "--mss6", "--direction", "--hook", "--dry-run", "--max-entries", "--netns"):
            assert option in result.stdout
    elif len(words) == 1:
        for verb in ("attach", "detach", "show", "stats", "probe"):
            assert re.search(rf"^\s+{verb}\b", result.stdout, re.MULTILINE)


def test_version(clean):
    result = net.run(program.MSSBPF, "--version")
    assert (result.status, result.stderr) == (0, "")
    assert re.fullmatch(r"mssbpf \d+\.\d+\.\d+\n", result.stdout)


@pytest.mark.parametrize("name", ("wg9", "", "v", "v00", "V0", "v0 ", "../v0", "v0/x", "fifteen-letters", "x" * 16,
                                  "x" * 127, "x" * 128, "x" * 5000, "%s%n", "2"))
@pytest.mark.parametrize("verb", ("attach", "detach", "show", "stats"))
def test_no_such_interface(pair, verb, name):
    result = program.mssbpf(verb, "--", name, netns=pair.a)
    assert result.status == 1, result
    assert result.stderr == f"mssbpf: {name}: no such interface\n"
    assert result.stdout == ""
    nothing_attached(pair)


def test_loopback(pair):
    program.refused(program.mssbpf("attach", "lo", netns=pair.a), 1, r"^mssbpf: lo: .*loopback")
    result = program.mssbpf("attach", "lo", "v0", netns=pair.a)
    program.refused(result, 1, r"^mssbpf: lo: .*loopback")
    assert set(program.show(pair.a)) == {("v0", "egress")}


@pytest.mark.parametrize("name", ("no-such-namespace", "", "..", ".", "/nowhere", "x" * 5000, "/etc/hostname"))
@pytest.mark.parametrize("verb", ("attach", "detach", "show", "stats"))
def test_no_such_namespace(clean, verb, name):
    words = {"attach": ["v0"], "detach": ["--all"]}.get(verb, [])
    result = net.run(program.MSSBPF, verb, "--netns", name, *words)
    assert (result.status, result.stdout) in ((1, ""), (2, "")), result
    assert re.match(rf"mssbpf: --netns '?{re.escape(name[:200])}", result.stderr), result


@pytest.mark.parametrize("words", (("--help",), ("attach", "--help"), ("show",), ("show", "--json"), ("stats",),
                                   ("stats", "--json"), ("--version",)), ids=" ".join)
@pytest.mark.parametrize("stdout", (">/dev/full", ">&-"))
def test_stdout_that_takes_nothing(pair, words, stdout):
    """Data that could not be written is a failure."""
    program.attach(pair.a, "v0")
    where = ["--netns", pair.a] if words[0] in ("show", "stats") else []
    result = net.run("sh", "-c", f'exec "$@" {stdout}', "sh", program.MSSBPF, *words[:1], *where, *words[1:])
    assert result.status == 1, result
    assert re.search(r"^mssbpf: standard output: .+", result.stderr), result


def test_options_after_the_interface(pair):
    """In any order, as getopt_long() permutes; the same interface twice is once."""
    program.attach(pair.a, "v0", "--mtu", 1400, "v0", "--direction=both")
    assert set(program.show(pair.a)) == {("v0", "egress"), ("v0", "ingress")}


def test_limits_above_the_mtu(pair):
    """A limit that lets through what does not fit is obeyed, with a warning."""
    result = program.mssbpf("attach", "v0", "--mtu", 1400, "--mss4", 1400, netns=pair.a)
    assert (result.status, result.stdout) == (0, ""), result
    assert re.search(r"^mssbpf: warning: .*1400.*1360", result.stderr), result
