# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The views of `stats`: histogram, reset, and watching it, on a terminal and by pipe. What is counted when is in
test_counters.py."""
import contextlib
import fcntl
import json
import os
import pathlib
import platform
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import pytest

import net
import packets
import program
from syns import Syns
from test_state import link

BOUNDS = [536, 1220, 1360, 1380, 1400, 1412, 1420, 1436, 1440, 1448, 1452, 1460, None]
# An MSS for each bucket's least and largest value.
EDGES = [1, 536, *(edge for bound in BOUNDS[:-2] for edge in (bound + 1, BOUNDS[BOUNDS.index(bound) + 1])), 1461, 65535]
PATIENCE = 10 * net.PATIENCE  # seconds, for what has to happen
WRITE = 1 if platform.machine() == "x86_64" else 64  # the number of the system call


def send(pair, family, *values):
    """A SYN with each MSS from v0."""
    source, target = pair.addresses[family]
    with net.Sender(pair.a, "v0") as sender:
        for value in values:
            sender.send(packets.frame(b"\x02\0\0\0\0\x99", net.mac(pair.a, "v0"), family, packets.ip_packet(
                family, source, target,
                packets.with_checksum(family, source, target, packets.tcp(packets.mss_option(value))))))


def announced(entry, family):
    """The histogram as {largest MSS: number}, without what is 0."""
    buckets = entry[family]["announced"]
    assert [bucket["up_to"] for bucket in buckets] == BOUNDS
    return {bucket["up_to"]: bucket["count"] for bucket in buckets if bucket["count"]}


@pytest.mark.parametrize("family", (4, 6))
def test_histogram_buckets(pair, family):
    """Every bucket ends where its name says; what was announced counts, not what it was lowered to."""
    program.attach(pair.a, "v0", "--mtu", 1400)
    send(pair, family, *EDGES)
    entry = program.stats(pair.a, "v0")
    assert announced(entry, f"ipv{family}") == dict.fromkeys(BOUNDS, 2)
    assert entry[f"ipv{family}"]["announced_bytes"] == sum(EDGES)
    other = f"ipv{10 - family}"
    assert announced(entry, other) == {} and entry[other]["announced_bytes"] == 0


def test_histogram_bars(pair):
    program.attach(pair.a, "v0", "--direction", "both")
    send(pair, 4, *[1460] * 6, *[1380] * 3, 9000)
    send(pair, 6, 1440)
    result = program.mssbpf("stats", "--histogram", netns=pair.a)
    assert (result.status, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == "v0 egress IPv4: 10 announced an MSS, 2190 on average"
    assert lines[14] == "v0 egress IPv6: 1 announced an MSS, 1440 on average"
    assert lines[28:] == ["v0 ingress IPv4: no MSS announced", "v0 ingress IPv6: no MSS announced"]
    bars = [re.fullmatch(r" *(\S+)  +(\d+)  +(\d+\.\d) %(?:  (#+))?", line).groups() for line in lines[1:14]]
    assert [bar[0] for bar in bars] == [*(f"<={bound}" for bound in BOUNDS[:-1]), "jumbo"]
    assert [int(bar[1]) for bar in bars] == [0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 6, 1]
    assert [float(bar[2]) for bar in bars] == [0, 0, 0, 30, 0, 0, 0, 0, 0, 0, 0, 60, 10]
    lengths = [len(bar[3] or "") for bar in bars]
    assert lengths[3] * 2 == pytest.approx(lengths[11], abs=1) and 0 < lengths[12] < lengths[3], result
    assert [length > 0 for length in lengths] == [int(bar[1]) > 0 for bar in bars]
    assert max(map(len, lines)) <= 80


def raw_count(pair, name):
    """What all CPUs have counted ever, or the baseline: the sum of all numbers in the map."""
    path = str(program.PINS / str(net.inode(pair.a)) / name)
    total = 0
    for entry in json.loads(net.must("bpftool", "-j", "map", "dump", "pinned", path)):
        for value in [each["value"] for each in entry["values"]] if "values" in entry else [entry["value"]]:
            data = bytes(int(byte, 16) for byte in value)
            total += sum(struct.unpack_from("<60Q", data))
    return total


def test_reset(pair):
    """Counters begin at zero, of the interfaces that are named or all; limits stay, and nothing is printed."""
    link(pair.a, "x0")
    program.attach(pair.a, "v0", "x0", "--mtu", 1400)
    send(pair, 4, 1460, 1460)
    program.done(program.mssbpf("stats", "--reset", "x0", netns=pair.a))
    assert program.counted(pair.a, "v0") == {"syn": 2, "clamped": 2}
    program.done(program.mssbpf("stats", "--reset", netns=pair.a))
    entry = program.stats(pair.a, "v0")
    assert program.counted(pair.a, "v0") == {} and announced(entry, "ipv4") == {}
    assert entry["ipv4"]["announced_bytes"] == 0
    send(pair, 4, 1460)
    assert program.counted(pair.a, "v0") == {"syn": 1, "clamped": 1}
    program.attach(pair.a, "v0", "--mtu", 1300)
    assert program.counted(pair.a, "v0") == {"syn": 1, "clamped": 1}
    program.detach(pair.a, "v0")
    program.attach(pair.a, "v0", "--mtu", 1300)
    assert program.counted(pair.a, "v0") == {}
    send(pair, 4, 1460)
    assert program.counted(pair.a, "v0") == {"syn": 1, "clamped": 1}


def test_reset_loses_nothing(pair):
    """While SYNs flow: the kernel's counters are not written, so each SYN counts before the reset or after it."""
    program.attach(pair.a, "v0", "--mtu", 1400)
    with Syns(pair.a, "v0", pair.b, "v1") as syns:
        for _ in range(10):
            syns.since()
            program.done(program.mssbpf("stats", "--reset", netns=pair.a))
        syns.since()
    assert raw_count(pair, "counters") == syns.passed
    assert program.stats(pair.a, "v0")["syn"] == syns.passed - raw_count(pair, "baseline") > 0


def test_reset_of_what_is_not_attached(pair):
    program.done(program.mssbpf("stats", "--reset", netns=pair.a))
    program.refused(program.mssbpf("stats", "--reset", "v0", netns=pair.a), 1, r"^mssbpf: v0: not attached\n$")
    program.refused(program.mssbpf("stats", "--reset", "wg9", netns=pair.a), 1, r"^mssbpf: wg9: no such interface\n$")


@pytest.mark.parametrize("words,message", (
    (("--reset", "--json"), "--reset"), (("--reset", "--watch"), "--reset"), (("--reset", "--histogram"), "--reset"),
    *((("--watch=" + value,), "--watch.*1 to 86400") for value in ("0", "-1", "1.5", "", "1s", "86401")),
    (("--histogram=1",), "takes no value"),
), ids=lambda value: " ".join(value) if isinstance(value, tuple) else "")
def test_options_that_contradict(pair, words, message):
    program.attach(pair.a, "v0")
    send(pair, 4, 1460)
    program.refused(program.mssbpf("stats", *words, netns=pair.a), 2, message)
    assert program.stats(pair.a, "v0")["syn"] == 1


@contextlib.contextmanager
def watching(pair, *words, **options):
    """`stats --watch` as a process, its stdout a pipe unless told otherwise."""
    options = {"stdout": subprocess.PIPE, **options}
    process = subprocess.Popen([program.MSSBPF, "stats", "--netns", pair.a, *words], stderr=subprocess.PIPE, text=True,
                               **options)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ended(process, status=0, stderr=""):
    """It has ended by itself, or does so soon."""
    assert process.wait(PATIENCE) == status
    assert process.stderr.read() == stderr


def test_watch_by_pipe(pair):
    """A head, then lines with time, totals and rates: those that a terminal leaves out, too."""
    program.attach(pair.a, "v0", "--mtu", 1400)
    send(pair, 4, 1460)
    with watching(pair, f"--watch={net.PATIENCE:.0f}") as process:
        lines = [process.stdout.readline() for _ in range(3)]
        send(pair, 4, *[1460] * 7, 1000)
        lines += [process.stdout.readline() for _ in range(2)]
        # They stand below each other, whenever they came.
        assert len({tuple(match.end() for match in re.finditer(r"\S+", line))[4:] for line in lines}) == 1, lines
        head, *first = (line.split() for line in lines[:3])
        second = [line.split() for line in lines[3:]]
        process.send_signal(signal.SIGTERM)
        ended(process)
    results = ["CLAMPED", "LOW", "NO-MSS", "MALFORMED", "TRUNCATED", "AH", "TCP-AO", "UNWRITABLE", "ADDED", "EXEMPT"]
    assert head == ["TIME", "INTERFACE", "DIRECTION", "FAMILY",
                    *(word for name in ("SYN", "SYN-ACK", *results) for word in (name, "/s"))]
    for line, family in zip((*first, *second), ("IPv4", "IPv6") * 2):
        assert len(line) == len(head) and line[1:4] == ["v0", "egress", family]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", line[0])
    assert [line[4:8] + line[8:12] for line in first] == [["1", "-", "0", "-", "1", "-", "0", "-"], ["0", "-"] * 4]
    totals, rates = second[0][4::2], [float(rate) for rate in second[0][5::2]]
    assert totals == ["9", "0", "8", "1", *"0" * 8]
    # All in a line are from the same time; how long it was is the machine's affair.
    assert rates[0] > 0 and rates[2] / rates[0] == pytest.approx(7 / 8, rel=0.05) and rates[3] > 0
    assert second[1][4:] == ["0", "0.0"] * 12


def test_watch_json(pair):
    """A document a line, each as without --watch."""
    program.attach(pair.a, "v0", "--mtu", 1400)
    with watching(pair, "--watch", "--json") as process:
        assert json.loads(process.stdout.readline()) == [program.stats(pair.a, "v0")]
        send(pair, 4, 1460)
        second = json.loads(process.stdout.readline())
        assert second == [program.stats(pair.a, "v0")] and second[0]["clamped"] == 1
        process.send_signal(signal.SIGINT)
        ended(process)


@pytest.mark.parametrize("words", ((), ("--json",), ("--histogram",)), ids=" ".join)
def test_watch_ends_with_its_reader(pair, words):
    """At once, and not only when it writes next; no noise."""
    program.attach(pair.a, "v0")
    with watching(pair, "--watch=86400", *words) as process:
        process.stdout.readline()
        process.stdout.close()
        ended(process)
        process.stdout = None


@pytest.mark.parametrize("number", (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
def test_watch_ends_by_signal(pair, number):
    program.attach(pair.a, "v0")
    with watching(pair, "--watch=86400") as process:
        process.stdout.readline()
        process.send_signal(number)
        ended(process)


@pytest.mark.parametrize("number", (signal.SIGINT, signal.SIGTERM))
def test_watch_second_signal_ends_it_at_once(pair, number):
    """It may be stuck: nobody reads what it prints."""
    program.attach(pair.a, "v0")
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    os.write(writer, bytes(1 << 16))  # what a pipe holds
    os.set_blocking(writer, True)
    with watching(pair, "--watch", stdout=writer) as process:
        deadline = time.monotonic() + PATIENCE
        while not pathlib.Path(f"/proc/{process.pid}/syscall").read_text().startswith(f"{WRITE} 0x1 "):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(number)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.2)
        process.send_signal(number)
        assert process.wait(PATIENCE) == -number
    for end in (reader, writer):
        os.close(end)


def test_watch_leaves_ignored_signals_ignored(pair):
    """nohup, or a script's background."""
    program.attach(pair.a, "v0")
    with watching(pair, "--watch", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGHUP)
        for _ in range(4):
            assert "v0" in process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        ended(process)


def test_watch_stdout_that_takes_nothing(pair):
    program.attach(pair.a, "v0")
    with open("/dev/full", "w", encoding="ascii") as full, watching(pair, "--watch", stdout=full) as process:
        ended(process, 1, "mssbpf: standard output: No space left on device\n")


def test_watch_interfaces_that_come_and_go(pair):
    """By pattern; one that was gone starts anew, without a rate."""
    link(pair.a, "x0")
    program.attach(pair.a, "v0", "x0")
    with watching(pair, "--watch", "x*", "v0") as process:
        def names(until):
            """Reads on until these interfaces are seen at one time."""
            deadline, times = time.monotonic() + PATIENCE, {}
            while time.monotonic() < deadline:
                words = process.stdout.readline().split()
                times.setdefault(words[0], set()).add(words[1])
                if len(times) > 1 and list(times.values())[-2] == until:
                    return
            raise AssertionError(times)
        names({"v0", "x0"})
        net.ip("-n", pair.a, "link", "delete", "x0")
        names({"v0"})
        link(pair.a, "x1")
        program.attach(pair.a, "x1")
        names({"v0", "x1"})
        program.detach(pair.a, "--all")
        program.attach(pair.a, "x1")
        names({"x1"})
        process.send_signal(signal.SIGTERM)
        ended(process)


def test_watch_of_what_is_not_there(pair):
    """What is wrong at the beginning is an error; nothing attached yet is none."""
    program.refused(program.mssbpf("stats", "--watch", "wg9", netns=pair.a), 1, r"^mssbpf: wg9: no such interface\n$")
    program.refused(program.mssbpf("stats", "--watch", "v0", netns=pair.a), 1, r"^mssbpf: v0: not attached\n$")
    with watching(pair, "--watch", "--json") as process:
        assert process.stdout.readline() == "[]\n"
        program.attach(pair.a, "v0")
        assert any('"v0"' in process.stdout.readline() for _ in range(int(PATIENCE)))
        process.send_signal(signal.SIGTERM)
        ended(process)


class Terminal:
    """A pseudo-terminal, and what stands on it by ECMA-48's rules, as far as they are used here."""

    def __init__(self, width, height):
        self.master, self.slave = pty.openpty()
        self.resize(width, height)
        self.received = b""

    def resize(self, width, height):
        self.width, self.height = width, height
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def read(self, timeout):
        if select.select([self.master], [], [], timeout)[0]:
            self.received += os.read(self.master, 65536)

    def screen(self):
        """The lines from the top to where the last complete picture ends."""
        rows, row, column = [[] for _ in range(self.height)], 0, 0
        for part in re.findall(r"\x1b\[[HKJ]|\r|\n|.", self.received.decode(), re.DOTALL):
            if part == "\x1b[H":
                row, column = 0, 0
            elif part in ("\x1b[K", "\x1b[J"):
                del rows[row][column:]
                if part == "\x1b[J":
                    rows[row + 1:] = [[] for _ in rows[row + 1:]]
            elif part == "\r":
                column = 0
            elif part == "\n":
                row += 1
                assert row < self.height, "scrolled"
            else:
                assert column < self.width or "too small" in self.received.decode(), "wrapped"
                rows[row][column:column + 1] = [" "] * (column - len(rows[row])) + [part]
                column += 1
        return ["".join(line).rstrip() for line in rows]

    def wait(self, condition):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            self.read(0.2)
            if self.received.endswith(b"\x1b[J") and condition(self.screen()):
                return [line for line in self.screen() if line]
        raise AssertionError(self.received)

    def close(self):
        os.close(self.master)
        os.close(self.slave)


@contextlib.contextmanager
def on_terminal(pair, *words, size=(100, 24)):
    terminal = Terminal(*size)
    try:
        with watching(pair, *words, stdout=terminal.slave, stdin=terminal.slave) as process:
            yield terminal, process
    finally:
        terminal.close()


def resize(terminal, process, width, height):
    """As the terminal's driver does for its foreground processes."""
    terminal.received = b""
    terminal.resize(width, height)
    process.send_signal(signal.SIGWINCH)


def test_watch_on_a_terminal(pair):
    """In its place, without the columns that have nothing to show."""
    program.attach(pair.a, "v0", "--mtu", 1400)
    with on_terminal(pair, f"--watch={net.PATIENCE:.0f}") as (terminal, process):
        lines = terminal.wait(lambda lines: "IPv6" in lines[3])
        assert lines[0] == f"every {net.PATIENCE:.0f} s, Ctrl-C ends"
        assert lines[1].split() == ["INTERFACE", "DIRECTION", "FAMILY", "SYN", "/s", "SYN-ACK", "/s", "CLAMPED", "/s"]
        assert lines[2].split()[:4] == ["v0", "egress", "IPv4", "0"] and len(lines) == 4
        send(pair, 6, 1460, 1000, 1000)
        lines = terminal.wait(lambda lines: "LOW" in lines[1] and "-" not in lines[3].split())
        assert lines[1].split()[-2:] == ["LOW", "/s"]
        assert lines[3].split()[2:4] == ["IPv6", "3"] and lines[3].split()[-2] == "2" and len(lines) == 4
        process.send_signal(signal.SIGINT)
        ended(process)
        terminal.read(PATIENCE)
        assert terminal.received.endswith(b"\x1b[J\r\n")  # what comes next has a line of its own


def test_watch_on_terminals_of_many_sizes(pair):
    """Too narrow or too low, it says so; resized, it shows what there is room for, at once."""
    for number in range(8):
        link(pair.a, f"x{number}")
    program.attach(pair.a, "x?")
    with on_terminal(pair, "--watch=86400", size=(40, 24)) as (terminal, process):
        line, = terminal.wait(lambda lines: "too small" in lines[0])[:1]
        assert re.match(r"terminal too small: 40 columns and 24 lines, this takes", line)
        resize(terminal, process, 100, 24)
        assert len(terminal.wait(lambda lines: "x7" in lines[17])) == 18
        resize(terminal, process, 100, 10)
        lines = terminal.wait(lambda lines: "more lines" in lines[8])
        assert lines[8].startswith("10 more lines") and len(lines) == 9
        resize(terminal, process, 20, 1)
        terminal.wait(lambda lines: "too small" in lines[0])
        resize(terminal, process, 100, 4)
        assert terminal.wait(lambda lines: "more lines" in lines[2])[2].startswith("16 more lines")
        process.send_signal(signal.SIGTERM)
        ended(process)


def test_watch_histogram_on_a_terminal(pair):
    """Bars as wide as the terminal."""
    program.attach(pair.a, "v0")
    send(pair, 4, 1460)
    with on_terminal(pair, "--watch=86400", "--histogram", size=(60, 24)) as (terminal, process):
        longest = {}
        for width in (60, 120):
            resize(terminal, process, width, 24)
            lines = terminal.wait(lambda lines: "IPv6: no MSS" in lines[15])
            longest[width] = max(map(len, lines))
        assert 55 <= longest[60] <= 60 and 115 <= longest[120] <= 120
        process.send_signal(signal.SIGTERM)
        ended(process)


def test_watch_ends_with_its_terminal(pair):
    program.attach(pair.a, "v0")
    terminal = Terminal(100, 24)
    with watching(pair, "--watch=86400", stdout=terminal.slave) as process:
        terminal.wait(lambda lines: "IPv6" in lines[3])
        os.close(terminal.slave)
        os.close(terminal.master)
        ended(process)
