# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""`mssbpf monitor`: a line for every SYN, and no SYN unaccounted for, however slow the reader and whatever its end."""
import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import subprocess
import time

import pytest

import flood
import net
import packets
import program
from listening import LOST, Monitor, Watch
from packets import ACK, SYN

MSS = packets.mss_option(1460)
PIPE_SIZE = 1031  # fcntl.F_SETPIPE_SZ
KEYS = {"time", "interface", "ifindex", "direction", "family", "source", "source_port", "destination",
        "destination_port", "kind", "mss_before", "mss_after", "result"}


def syn(pair, family, options=MSS, flags=SYN, sport=10000, dport=80, source=None):
    """A frame from v0 that nobody at v1 feels meant by: its target has another Ethernet address."""
    source, target = source or pair.addresses[family][0], pair.addresses[family][1]
    segment = packets.with_checksum(family, source, target, packets.tcp(options, sport, dport, flags))
    return packets.frame(b"\x02\0\0\0\0\x99", net.mac(pair.a, "v0"), family,
                         packets.ip_packet(family, source, target, segment))


@pytest.fixture
def monitor():
    """Starts monitors, and ends those that are left."""
    with contextlib.ExitStack() as stack:
        def start(namespace, *arguments, **options):
            started = Monitor(namespace, *arguments, **options)
            stack.callback(started.kill)
            return started
        yield start


@pytest.fixture
def attached(pair):
    program.attach(pair.a, "v0", "--mtu", 1400)
    return pair


def send(pair, *frames):
    with net.Sender(pair.a, "v0") as sender:
        for frame in frames:
            sender.send(frame)


TIME = r"\d\d:\d\d:\d\d\.\d{6}"
LINES = {
    "IPv4": ({"family": 4}, r"192\.0\.2\.1:10000 > 192\.0\.2\.2:80 SYN mss 1460 -> 1360 clamped"),
    "IPv6": ({"family": 6}, r"\[2001:db8::1\]:10000 > \[2001:db8::2\]:80 SYN mss 1460 -> 1340 clamped"),
    "SYN-ACK": ({"family": 4, "flags": SYN | ACK}, r".* SYN-ACK mss 1460 -> 1360 clamped"),
    "low": ({"family": 4, "options": packets.mss_option(536)}, r".* SYN mss 536 -> 536 already_low"),
    "without": ({"family": 6, "options": b""}, r".* SYN mss none -> none no_mss"),
    "TCP-AO": ({"family": 4, "options": MSS + b"\x1d\x10" + bytes(14)}, r".* SYN mss 1460 -> 1460 tcp_ao"),
    "malformed": ({"family": 4, "options": MSS + b"\x08\0\0\0"}, r".* SYN mss none -> none malformed"),
}


@pytest.mark.parametrize("row", LINES.values(), ids=LINES)
def test_line(attached, monitor, row):
    packet, expected = row
    running = monitor(attached.a, "--count", "1")
    send(attached, syn(attached, **packet))
    line, = running.done(None)
    assert re.fullmatch(f"{TIME} v0 egress {expected}", line), line


def test_both_directions_and_dry_run(attached, monitor):
    program.attach(attached.a, "v0", "--mtu", 1400, "--direction", "both", "--dry-run")
    running = monitor(attached.a, "--count", "2")
    send(attached, syn(attached, 4))
    with net.Sender(attached.b, "v1") as sender:
        sender.send(syn(attached, 4, flags=SYN | ACK))
    out, back = running.done(None)
    assert " v0 egress " in out and " SYN mss 1460 -> 1360 clamped" in out
    assert " v0 ingress " in back and " SYN-ACK mss 1460 -> 1360 clamped" in back


def test_added(attached, monitor):
    program.attach(attached.a, "v0", "--mtu", 1400, "--add-missing")
    running = monitor(attached.a, "--count", "1")
    send(attached, syn(attached, 4, b""))
    assert running.done(None)[0].endswith("SYN mss none -> 536 added")


def test_xdp(attached, monitor):
    program.attach(attached.b, "v1", "--hook", "xdp", "--mtu", 1300)
    running = monitor(attached.b, "--count", "1")
    send(attached, syn(attached, 4))
    # What v0 clamps arrives clamped.
    assert re.fullmatch(rf"{TIME} v1 ingress .* SYN mss 1360 -> 1260 clamped", running.done(None)[0])


@pytest.mark.vm
def test_json(attached, monitor):
    running = monitor(attached.a, "--json", "--count", "2")
    before = time.time()
    send(attached, syn(attached, 4), syn(attached, 6, b"", SYN | ACK))
    first, second = (json.loads(line) for line in running.done(None))
    assert set(first) == set(second) == KEYS
    seconds = time.mktime(time.strptime(first["time"][:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone
    assert re.fullmatch(r"\.\d{6}Z", first["time"][19:])
    assert abs(seconds - before) < 60
    del first["time"], second["time"]
    index = net.ifindex(attached.a, "v0")
    assert first == {"interface": "v0", "ifindex": index, "direction": "egress", "family": "ipv4",
                     "source": "192.0.2.1", "source_port": 10000, "destination": "192.0.2.2", "destination_port": 80,
                     "kind": "syn", "mss_before": 1460, "mss_after": 1360, "result": "clamped"}
    assert second == {"interface": "v0", "ifindex": index, "direction": "egress", "family": "ipv6",
                      "source": "2001:db8::1", "source_port": 10000, "destination": "2001:db8::2",
                      "destination_port": 80, "kind": "syn_ack", "mss_before": None, "mss_after": None,
                      "result": "no_mss"}


FILTERS = {
    "source": (("--prefix", "192.0.2.77"), [1]),
    "destination": (("--prefix", "192.0.2.2"), [0, 1, 2, 3]),
    "IPv6": (("-p", "2001:db8::/32"), [4]),
    "port of the source": (("--port", "443"), [2]),
    "port of the destination": (("--port", "8080"), [3]),
    "result": (("--result", "no_mss"), [3]),
    "results": (("-r", "no_mss,already_low"), [2, 3]),
    "all of them": (("--port", "80", "--prefix", "192.0.2.0/24", "--result", "clamped"), [0, 1]),
    "none": (("--prefix", "198.51.100.0/24"), []),
    "interface": (("v0",), [0, 1, 2, 3, 4]),
    "pattern": (("v*",), [0, 1, 2, 3, 4]),
}


@pytest.mark.parametrize("row", FILTERS.values(), ids=FILTERS)
def test_filter(attached, monitor, row):
    arguments, expected = row
    running = monitor(attached.a, "--json", *arguments)
    send(attached, syn(attached, 4, sport=1), syn(attached, 4, sport=2, source="192.0.2.77"),
         syn(attached, 4, packets.mss_option(500), sport=443, dport=3), syn(attached, 4, b"", sport=4, dport=8080),
         syn(attached, 6, sport=5))
    seen = [json.loads(line)["source_port"] for line in running.done()]
    assert seen == [(1, 2, 443, 4, 5)[index] for index in expected]


def test_other_interfaces(attached, monitor):
    """Those that are named, not those beside them."""
    attached.join("x0", "x1")
    program.attach(attached.a, "x0", "--mtu", 1400)
    frame = syn(attached, 4)
    running = monitor(attached.a, "x0")
    send(attached, frame)
    with net.Sender(attached.a, "x0") as sender:
        sender.send(frame)
    line, = running.done()
    assert " x0 egress " in line


def test_names_are_followed(attached, monitor):
    """One that is renamed, and one that comes later; a pattern takes those that come."""
    attached.join("y0", "y1")
    program.attach(attached.a, "y0", "--mtu", 1400)
    frame = syn(attached, 4)
    running = monitor(attached.a, "y*", stdout=subprocess.PIPE)
    net.ip("-n", attached.a, "link", "set", "y0", "down")
    net.ip("-n", attached.a, "link", "set", "y0", "name", "y9")
    net.ip("-n", attached.a, "link", "set", "y9", "up")
    attached.join("y5", "y6")
    program.attach(attached.a, "y5", "--mtu", 1400)
    for device in ("y9", "y5", "v0"):
        with net.Sender(attached.a, device) as sender:
            sender.send(frame)
    assert [line.split()[1] for line in running.done()] == ["y9", "y5"]


@pytest.mark.vm
def test_nothing_is_left_of_it(attached, monitor):
    watch = Watch(attached.a)
    assert (watch.until, watch.has_ring) == (0, False)
    running = monitor(attached.a)
    assert watch.has_ring
    assert running.done() == []
    assert (watch.until, watch.has_ring) == (0, False)


@pytest.mark.parametrize("number", (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
def test_ends_on_signals(attached, monitor, number):
    running = monitor(attached.a)
    send(attached, syn(attached, 4))
    assert len(running.done(number)) == 1
    assert Watch(attached.a).until == 0


def test_ends_on_a_terminal(attached, monitor):
    """What comes next has a line of its own, whatever the terminal shows of Ctrl-C."""
    master, slave = pty.openpty()
    running = monitor(attached.a, stdout=slave)
    assert running.done() == []
    os.close(slave)
    assert os.read(master, 100) == b"\r\n"
    os.close(master)


@pytest.mark.parametrize("events", (False, True), ids=("idle", "busy"))
def test_ends_with_its_reader(attached, monitor, events):
    reader, writer = os.pipe()
    running = monitor(attached.a, stdout=writer)
    os.close(writer)
    os.close(reader)
    if events:
        send(attached, syn(attached, 4))
    assert running.done(None) == []
    assert (Watch(attached.a).until, Watch(attached.a).has_ring) == (0, False)


def test_full_disk(attached, monitor):
    with open("/dev/full", "w", encoding="ascii") as full:
        running = monitor(attached.a, stdout=full)
        send(attached, syn(attached, 4))
        assert running.result() == (1, [], "mssbpf: standard output: No space left on device\n")
    assert Watch(attached.a).until == 0


@pytest.mark.vm
def test_one_at_a_time(attached, monitor):
    running = monitor(attached.a)
    program.refused(program.mssbpf("monitor", netns=attached.a), 1, "^mssbpf: monitor: another one runs in this")
    send(attached, syn(attached, 4))
    assert len(running.done()) == 1


def test_many_at_once(attached):
    """Of many that start together one runs, and gets all."""
    started = [subprocess.Popen([program.MSSBPF, "monitor", "--netns", attached.a], text=True, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE) for _ in range(8)]
    try:
        deadline = time.monotonic() + net.TIMEOUT
        while sum(process.poll() is None for process in started) > 1 and time.monotonic() < deadline:
            time.sleep(0.01)
        running, = [process for process in started if process.poll() is None]
        send(attached, syn(attached, 4), syn(attached, 6))
        running.send_signal(signal.SIGINT)
        stdout, stderr = running.communicate(timeout=net.TIMEOUT)
        assert (running.returncode, len(stdout.splitlines()), stderr) == (0, 2, "")
        for process in started:
            if process is not running:
                assert process.returncode == 1
                assert "another one runs" in process.stderr.read()
    finally:
        for process in started:
            if process.poll() is None:
                process.kill()
            process.wait()


def test_other_commands_work_meanwhile(attached, monitor):
    running = monitor(attached.a)
    program.attach(attached.a, "v0", "--mtu", 1300)
    assert program.show(attached.a)["v0", "egress"]["mtu"] == 1300
    send(attached, syn(attached, 4))
    assert running.done()[0].endswith("mss 1460 -> 1260 clamped")


def test_killed(attached, monitor):
    """Events stop by themselves; the next monitor need not wait for that, and counts nothing as lost that was before."""
    running = monitor(attached.a, "--buffer", "64")
    running.kill()
    assert Watch(attached.a).until > time.monotonic()
    with flood.Flood(attached.a, "v0", syn(attached, 4)) as sender:
        sender.send(4)
    running = monitor(attached.a)
    send(attached, syn(attached, 6))
    line, = running.done()
    assert "2001:db8::1" in line
    running = monitor(attached.a)
    running.kill()
    time.sleep(max(0, Watch(attached.a).until - time.monotonic()))
    lost = net.must("bpftool", "--json", "map", "dump", "pinned", str(Watch(attached.a).folder / "watch"))
    with flood.Flood(attached.a, "v0", syn(attached, 4)) as sender:
        sender.send(80)  # more than its buffer holds
    assert net.must("bpftool", "--json", "map", "dump", "pinned", str(Watch(attached.a).folder / "watch")) == lost
    assert program.counted(attached.a, "v0")["clamped"] == 84 * flood.SLOTS + 1


def test_the_buffer_of_a_killed_one(attached, monitor):
    """The next command frees it; it frees none that is in use."""
    running = monitor(attached.a)
    program.attach(attached.a, "v0", "--mtu", 1300)
    assert Watch(attached.a).has_ring
    running.kill()
    assert Watch(attached.a).has_ring
    program.attach(attached.a, "v0", "--mtu", 1400)
    assert not Watch(attached.a).has_ring


def test_stopped_and_continued(attached, monitor):
    """Longer than its lease: it goes on, and says that something is missing."""
    running = monitor(attached.a)
    running.process.send_signal(signal.SIGSTOP)
    time.sleep(max(0, Watch(attached.a).until - time.monotonic()))
    send(attached, syn(attached, 4))
    until = Watch(attached.a).until
    running.process.send_signal(signal.SIGCONT)
    deadline = time.monotonic() + net.TIMEOUT
    while Watch(attached.a).until == until and time.monotonic() < deadline:
        time.sleep(0.01)
    send(attached, syn(attached, 6))
    status, lines, stderr = running.result(signal.SIGINT)
    assert (status, stderr) == (0, "mssbpf: warning: monitor: was kept from running: events of the meantime are "
                                   "missing\n")
    assert len(lines) == 1 and "2001:db8::1" in lines[0]


def test_detach_all_ends_it(attached, monitor):
    running = monitor(attached.a)
    send(attached, syn(attached, 4))
    program.detach(attached.a, "--all")
    status, lines, stderr = running.result()
    assert (status, stderr) == (1, "mssbpf: monitor: nothing is attached any more\n")
    assert len(lines) == 1


@pytest.fixture
def flooded(attached):
    """What arrives at the other end is counted there."""
    program.attach(attached.b, "v1", "--mtu", 1500, "--direction", "ingress")
    return attached


def arrived(pair):
    return program.counted(pair.b, "v1", "ingress")


@pytest.mark.parametrize("arguments", ((), ("--json",)), ids=("text", "json"))
def test_every_event_counts(flooded, monitor, tmp_path, arguments):
    """As many SYNs as the machine can send: what is printed and what is lost are all that were counted."""
    frame = syn(flooded, 4)
    with open(tmp_path / "lines", "w+", encoding="ascii") as output:
        running = monitor(flooded.a, *arguments, "--buffer", "1024", stdout=output)
        with flood.Flood(flooded.a, "v0", frame) as sender:
            sent = sender.send(200)
        status, _, stderr = running.result(signal.SIGINT)
        output.seek(0)
        printed = sum(1 for _ in output)
    assert status == 0
    lost = LOST.search(stderr)
    assert printed + int(lost.group(1) if lost else 0) == sent, stderr
    assert program.counted(flooded.a, "v0") == {"syn": sent, "clamped": sent}
    assert arrived(flooded) == {"syn": sent, "already_low": sent}


def test_slow_reader(flooded, monitor):
    """Whose pipe is full: events are lost and counted, SYNs are not, and the lease is renewed all the same."""
    reader, writer = os.pipe()
    fcntl.fcntl(reader, PIPE_SIZE, 4096)
    running = monitor(flooded.a, "--buffer", "64", stdout=writer)
    os.close(writer)
    with flood.Flood(flooded.a, "v0", syn(flooded, 4)) as sender:
        sent = sender.send(20)
        time.sleep(max(0, Watch(flooded.a).until - time.monotonic()) + 0.5)
        assert Watch(flooded.a).until > time.monotonic()
        sent += sender.send(20)
    assert arrived(flooded) == {"syn": sent, "already_low": sent}
    running.process.send_signal(signal.SIGINT)
    with open(reader, encoding="ascii") as lines:
        printed = sum(1 for _ in lines)
    status, _, stderr = running.result()
    assert status == 0
    assert printed > 0
    assert printed + int(LOST.search(stderr).group(1)) == sent, (printed, stderr)
    assert program.counted(flooded.a, "v0") == {"syn": sent, "clamped": sent}


def test_second_signal_ends_it_at_once(attached, monitor):
    """Where nobody reads, and it is kept from printing the rest."""
    reader, writer = os.pipe()
    fcntl.fcntl(reader, PIPE_SIZE, 4096)
    running = monitor(attached.a, stdout=writer)
    os.close(writer)
    with flood.Flood(attached.a, "v0", syn(attached, 4)) as sender:
        sender.send(4)
    running.process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    assert running.process.poll() is None
    status, _, _ = running.result(signal.SIGTERM)
    os.close(reader)
    assert status == -signal.SIGTERM


USAGE = {
    "prefix": (("--prefix", "192.0.2.0/33"), r"--prefix: '192\.0\.2\.0/33': the length of an IPv4 prefix is a number from 0"),
    "prefix, empty": (("--prefix", ""), "--prefix: '': '' is no IPv4 or IPv6 address"),
    "port 0": (("--port", "0"), r"--port '0': not a whole number from 1 to 65535"),
    "result": (("--result", "clamped,lost"), r"--result 'lost': not one of clamped, already_low, "),
    "result, empty": (("--result", ""), r"--result '': not one of clamped"),
    "result behind a comma": (("--result", "clamped,"), r"--result '': not one of clamped"),
    "count": (("--count", "0"), r"--count '0': not a whole number from 1 to "),
    "buffer": (("--buffer", "63"), r"--buffer '63': not a whole number from 64 to "),
}


@pytest.mark.parametrize("row", USAGE.values(), ids=USAGE)
def test_usage(row):
    arguments, message = row
    program.refused(program.mssbpf("monitor", *arguments), 2, f"^mssbpf: monitor: {message}")


def test_refusals(pair):
    program.refused(program.mssbpf("monitor", netns=pair.a), 1, "^mssbpf: monitor: nothing is attached: ")
    program.attach(pair.a, "v0", "--mtu", 1400)
    pair.join("x0", "x1")
    for argument, message in (("x0", "x0: not attached"), ("wg9", "wg9: no such interface"),
                              ("x*", r"x\*: none of the interfaces that match is attached"),
                              ("q*", r"q\*: no interface has a name that matches")):
        program.refused(program.mssbpf("monitor", argument, netns=pair.a), 1, f"^mssbpf: {message}\n$")
    assert Watch(pair.a).until == 0


def test_no_memory_for_the_buffer(attached):
    result = net.run("sh", "-c", 'ulimit -v 200000; exec "$@"', "sh", program.MSSBPF, "monitor", "--netns", attached.a,
                     "--buffer", "524288")
    program.refused(result, 1, r"^mssbpf: monitor: cannot make a ring buffer of 524288 KiB: Cannot allocate memory; "
                               r"--buffer takes less\n$")
    assert (Watch(attached.a).until, Watch(attached.a).has_ring) == (0, False)


NO_RINGS = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
long syscall(long number, long a, long b, long c, long d, long e, long f)
{
	long (*next)(long, ...) = dlsym(RTLD_NEXT, "syscall");

	if (number != SYS_bpf || a != BPF_MAP_CREATE || ((union bpf_attr *)b)->map_type != BPF_MAP_TYPE_RINGBUF)
		return next(number, a, b, c, d, e, f);
	errno = EINVAL;
	return -1;
}
"""


def test_a_kernel_without_ring_buffers(pair, tmp_path):
    """Before Linux 5.8; bpf(2) is made to refuse them. Nothing can be attached there, nor does monitor begin."""
    (tmp_path / "rings.c").write_text(NO_RINGS)
    net.must("cc", "-shared", "-fPIC", "-o", str(tmp_path / "rings.so"), str(tmp_path / "rings.c"))
    without = ("env", f"LD_PRELOAD={tmp_path}/rings.so", program.MSSBPF)
    program.refused(net.run(*without, "attach", "--netns", pair.a, "v0"), 1,
                    r"^mssbpf: /sys/fs/bpf/mssbpf/\d+: loading the BPF programs: .*; Linux 5\.10 or later is needed, this is ")
    assert program.pins(pair.a) == []
    program.attach(pair.a, "v0")
    program.refused(net.run(*without, "monitor", "--netns", pair.a), 1,
                    r"^mssbpf: monitor: cannot make a ring buffer .*; kernels before Linux 5\.8 have none\n$")
    assert (Watch(pair.a).until, Watch(pair.a).has_ring) == (0, False)


def test_unprivileged(attached, public_copy):
    result = net.run("nsenter", f"--net=/run/netns/{attached.a}", "setpriv", "--reuid", "65534", "--clear-groups",
                     "--inh-caps=-all", public_copy, "monitor")
    program.refused(result, 1, "^mssbpf: not permitted: this takes root")
