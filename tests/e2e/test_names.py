# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Names of interfaces that a terminal would obey, or that are no text: every verb takes them, and none prints them raw."""
import contextlib
import json
import os
import re
import shlex

import pytest

import net
import packets
import program
from listening import Monitor

NAMES = {b"\x1b[31mred": r"\x1b[31mred", b"bell\x07\x7f": r"bell\x07\x7f", b"\xc2\x9b2J": r"\xc2\x9b2J",
         b"\x9b2J": r"\x9b2J", b"\xff\xfe": r"\xff\xfe", b"\xed\xaf\xbf": r"\xed\xaf\xbf", b"\xc0\xaf": r"\xc0\xaf",
         b"\xf5\x80\x80\x80": r"\xf5\x80\x80\x80", b"ok\xc3": r"ok\xc3", b"\xf0\x9f\x80": r"\xf0\x9f\x80",
         "é日本".encode(): "é日本", "\U0001f600".encode(): "\U0001f600", b"a\\x1b": r"a\x1b"}
PRINTS = (("show",), ("stats",), ("stats", "--histogram"), ("rule", "list"), ("rule", "list", "--plain"), ("verify",),
          ("mtu",), ("doctor",))
PRINTS_JSON = (("show",), ("stats",), ("rule", "list"), ("verify",), ("mtu",), ("doctor",))


def clean(text, shown):
    """It has the name as it is shown, and nothing that a terminal obeys but ends of lines."""
    assert shown in text, text
    assert re.fullmatch(r"[^\0-\x09\x0b-\x1f\x7f-\x9f]*", text), text
    return text


def in_json(shown):
    return json.dumps(shown, ensure_ascii=False)[1:-1]


@contextlib.contextmanager
def named(pair, name, shown):
    """It is what v0 is called meanwhile; attached."""
    net.ip("-n", pair.a, "link", "set", "v0", "down")
    net.ip("-n", pair.a, "link", "set", "v0", "name", name, "up")
    result = program.mssbpf("attach", name, "--mtu", 1600, "--direction", "both", netns=pair.a)
    assert (result.status, result.stdout) == (0, ""), result
    clean(result.stderr, f"mssbpf: warning: {shown}: ")
    program.done(program.mssbpf("rule", "add", name, "10.0.0.0/8", "--mtu", "1300", netns=pair.a))
    yield
    net.ip("-n", pair.a, "link", "set", name, "down")
    net.ip("-n", pair.a, "link", "set", name, "name", "v0", "up")


def check_printed(pair, name, shown):
    for words in PRINTS:
        result = program.mssbpf(*words, name, netns=pair.a)
        assert (result.status, result.stderr) == (3 if words == ("doctor",) else 0, ""), result
        clean(result.stdout, shown)
    head, *rows = program.mssbpf("show", name, netns=pair.a).stdout.splitlines()
    assert {row[head.index("DIRECTION"):].split()[0] for row in rows} == {"egress", "ingress"}
    for words in PRINTS_JSON:
        found = json.loads(clean(program.mssbpf(*words, "--json", name, netns=pair.a).stdout, in_json(shown)))
        names = {row["interface"] for row in (found if isinstance(found, list) else [found])}
        assert names - {None} == {shown}, words  # doctor: None is the host


def check_said(pair, name, shown):
    result = program.mssbpf("detach", name, "--netns", pair.b)
    clean(result.stderr, f"mssbpf: {shown}: no ")
    program.detach(pair.a, name)
    result = program.refused(program.mssbpf("detach", name, netns=pair.a), 1, "not attached")
    clean(result.stderr, f"mssbpf: {shown}: ")


def check_monitor(pair, shown):
    source, target = pair.addresses[4]
    segment = packets.with_checksum(4, source, target, packets.tcp(packets.mss_option(1460)))
    frame = packets.frame(b"\x02\0\0\0\0\x99", b"\x02\0\0\0\0\x77", 4, packets.ip_packet(4, source, target, segment))
    for words in ((), ("--json",)):
        running = Monitor(pair.a, "--count", "1", *words)
        with net.Sender(pair.b, "v1") as sender:
            sender.send(frame)
        line, = running.done(None)
        clean(line, in_json(shown) if words else shown)
        assert not words or json.loads(line)["interface"] == shown


@pytest.mark.parametrize("name,shown", NAMES.items(), ids=NAMES.values())
def test_name(pair, name, shown):
    name = os.fsdecode(name)
    with named(pair, name, shown):
        check_printed(pair, name, shown)
        check_monitor(pair, shown)
        check_said(pair, name, shown)


def test_a_name_that_a_shell_would_run(pair):
    """The command that probe prints has it as one word."""
    name = "x;$(id)'&"
    net.ip("-n", pair.a, "link", "set", "v0", "down")
    net.ip("-n", pair.a, "link", "set", "v0", "name", name, "up")
    result = program.mssbpf("probe", pair.addresses[4][1], "--json", netns=pair.a)
    assert (result.status, result.stderr) == (0, ""), result
    command = json.loads(result.stdout)["attach"]
    assert shlex.split(command) == ["mssbpf", "attach", "--netns", pair.a, name, "--mtu", "1500"]
    assert f"{command}\n" in program.mssbpf("probe", pair.addresses[4][1], netns=pair.a).stdout
