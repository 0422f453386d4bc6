# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""mssbpf probe on a real path: host -- router -- far, where the router's link to far has MTU 1418.

What hops say, lie about or keep to themselves, loss, and all that can be wrong with the command line. Paths of all
other kinds are simulated in ../unit/probe.c.
"""
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile

import pytest

import net
import program

families = pytest.mark.parametrize("family", (4, 6))
HOST, ROUTER, FAR = (f"mssbpf-e2e-probe-{name}" for name in ("host", "router", "far"))
SOURCE = {4: "198.51.100.2", 6: "2001:db8:1::2"}
SECOND = {4: "198.51.100.3", 6: "2001:db8:1::3"}  # another address of the host's
GATEWAY = {4: "198.51.100.1", 6: "2001:db8:1::1"}
TARGET = {4: "203.0.113.2", 6: "2001:db8:2::2"}
NAME = {4: "IPv4", 6: "IPv6"}
LEAST = {4: 576, 6: 1280}
FAST = ("--timeout", "20")  # where nothing answers
SILENT = """
    icmp type destination-unreachable icmp code frag-needed drop
    icmpv6 type packet-too-big drop
"""


def link(namespace, device, peer_namespace, peer, mtu):
    net.ip("link", "add", device, "netns", namespace, "mtu", str(mtu), "type", "veth",
           "peer", "name", peer, "netns", peer_namespace, "mtu", str(mtu))
    for where, name in ((namespace, device), (peer_namespace, peer)):
        net.ip("-n", where, "link", "set", name, "up")


def address(namespace, device, *addresses):
    for one in addresses:
        net.ip("-n", namespace, "address", "add", one, "dev", device, *(["nodad"] if ":" in one else []))


def sysctl(namespace, name, value):
    with net.entered(namespace), open(f"/proc/sys/net/{name}", "w", encoding="ascii") as file:
        file.write(str(value))


@pytest.fixture(scope="module")
def built_path(machine):
    net.make_namespaces(HOST, ROUTER, FAR)
    link(HOST, "wan", ROUTER, "lan", 1500)
    link(ROUTER, "out", FAR, "eth0", 1418)
    address(HOST, "wan", f"{SOURCE[4]}/24", f"{SOURCE[6]}/64", f"{SECOND[4]}/24", f"{SECOND[6]}/64")
    address(ROUTER, "lan", f"{GATEWAY[4]}/24", f"{GATEWAY[6]}/64")
    address(ROUTER, "out", "203.0.113.1/24", "2001:db8:2::1/64")
    address(FAR, "eth0", f"{TARGET[4]}/24", f"{TARGET[6]}/64")
    sysctl(ROUTER, "ipv4/ip_forward", 1)
    sysctl(ROUTER, "ipv6/conf/all/forwarding", 1)
    sysctl(ROUTER, "ipv4/icmp_ratelimit", 0)
    for namespace, gateway in ((HOST, GATEWAY), (FAR, {4: "203.0.113.1", 6: "2001:db8:2::1"})):
        for family in (4, 6):
            net.ip("-n", namespace, "route", "add", "default", "via", gateway[family])
    for family in (4, 6):  # the first packets wait for ARP and for IPv6 addresses
        net.must("nsenter", f"--net=/run/netns/{HOST}", "ping", "-q", "-n", "-c", "1", "-i", "0.2", "-w", "10",
                 TARGET[family])
    yield
    net.delete_namespaces(HOST, ROUTER, FAR)


@pytest.fixture
def path(built_path, clean):
    """The path, without rules in the router; no test leaves routes behind."""
    yield
    for namespace in (HOST, ROUTER):
        net.must("nsenter", f"--net=/run/netns/{namespace}", "nft", "flush", "ruleset")
    assert not program.pins(HOST)


def rules(text, hook="output", namespace=ROUTER):
    """nftables rules, one a line; those of the router's `output` see its own ICMP messages."""
    net.must("nsenter", f"--net=/run/netns/{namespace}", "nft", "-f", "-",
             stdin=f"table inet test {{\n chain {hook} {{\n type filter hook {hook} priority 0;\n{text}\n}}\n}}\n")


def probe(*words, **options):
    return program.mssbpf("probe", *words, netns=HOST, **options)


def found(*words):
    """What --json says."""
    result = probe("--json", *words)
    assert (result.status, result.stderr) == (0, ""), result
    return json.loads(result.stdout)


def in_host(*command, user=None):
    drop = ("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups") if user else ()
    return net.run("nsenter", f"--net=/run/netns/{HOST}", *drop, *command)


def lines_match(result, *patterns):
    """The command succeeded, and its lines match these regular expressions, one each."""
    assert (result.status, result.stderr) == (0, ""), result
    lines = result.stdout.splitlines()
    assert len(lines) == len(patterns), result
    for line, pattern in zip(lines, patterns):
        assert re.fullmatch(pattern, line), (line, pattern)


def says_so(family, where="wan --mtu 1418"):
    gateway = re.escape(GATEWAY[family])
    return (
        rf"probing {TARGET[family]} \({TARGET[family]}\), {NAME[family]}, {LEAST[family]} to 1500 bytes",
        rf" +{LEAST[family]}  answered, [0-9.]+ ms.*",
        rf"  1500  {gateway} says: too big, 1418 fits",
        r"  1418  answered, [0-9.]+ ms.*",
        rf"  1419  {gateway} says: too big, 1418 fits",
        rf"path MTU 1418, limited by {gateway}, which says so: path MTU discovery works",
        r"MSS 1378 \(IPv4\), 1358 \(IPv6\)",
        rf"mssbpf attach {where}")


@families
def test_hop_that_says_so(path, family):
    lines_match(in_host(program.MSSBPF, "probe", TARGET[family]), *says_so(family))


@families
def test_the_attach_line_is_right(path, family):
    """With --netns as well, and the command that is printed works."""
    result = probe(TARGET[family])
    lines_match(result, *says_so(family, f"--netns {HOST} wan --mtu 1418"))
    words = shlex.split(result.stdout.splitlines()[-1])
    assert words[:2] == ["mssbpf", "attach"]
    program.done(program.mssbpf("attach", *words[4:], netns=words[3]))
    entry = program.show(HOST)["wan", "egress"]
    assert (entry["mtu"], entry["mss4"], entry["mss6"]) == (1418, 1378, 1358)
    program.detach(HOST, "wan")


@families
def test_black_hole(path, family):
    rules(SILENT)
    result = probe(TARGET[family])
    assert (result.status, result.stderr) == (0, ""), result
    lines = result.stdout.splitlines()
    assert re.fullmatch(rf"  1500  no answer to 1\d probes, while {LEAST[family]} bytes were answered 15 times",
                        lines[2]), result
    assert any(re.match(r"  1418  answered", line) for line in lines), result
    assert any(re.match(r"  1419  no answer to 1\d probes, while 1418 bytes", line) for line in lines), result
    assert re.fullmatch("path MTU 1418, limited by a hop that drops larger .* black hole; TCP needs the clamp",
                        lines[-3])
    assert lines[-2:] == ["MSS 1378 (IPv4), 1358 (IPv6)", f"mssbpf attach --netns {HOST} wan --mtu 1418"]


@families
@pytest.mark.parametrize("silent", (False, True), ids=("says-so", "silent"))
def test_json(path, family, silent):
    """One object and nothing else."""
    if silent:
        rules(SILENT)
    entry = found(TARGET[family], "--min", "1400", "--max", "1432")
    assert entry.pop("sent") >= 4
    assert (entry.pop("lost") >= 30) == silent
    assert entry == {
        "host": TARGET[family], "address": TARGET[family], "family": f"ipv{family}", "mtu": 1418, "mss4": 1378,
        "mss6": 1358, "interface": "wan", "limited_by": "black_hole" if silent else "hop",
        "hop": None if silent else GATEWAY[family], "hop_mtu": None if silent else 1418, "min": 1400, "max": 1432,
        "attach": f"mssbpf attach --netns {HOST} wan --mtu 1418"}


@families
@pytest.mark.parametrize("silent", (False, True), ids=("says-so", "silent"))
@pytest.mark.parametrize("percent", (30, 50))
def test_loss_is_not_taken_for_size(path, family, silent, percent):
    """Random loss on the way there: the same MTU, and the same verdict."""
    rules(f'iifname "lan" numgen random mod 100 < {percent} drop', "forward")
    if silent:
        rules(SILENT)
    entry = found(TARGET[family], "--min", "1410", "--max", "1425")
    assert (entry["mtu"], entry["limited_by"]) == (1418, "black_hole" if silent else "hop")


@families
@pytest.mark.parametrize("mtu,verdict", (
    (0, "which says so but not what fits: path MTU discovery has to guess; TCP needs the clamp"),
    (1499, "which says that 1499 fits: path MTU discovery fails; TCP needs the clamp"),
    (9000, "which says that 9000 fits: path MTU discovery fails; TCP needs the clamp"),
    (1400, "which says that 1400 fits: path MTU discovery works, with smaller packets than necessary")))
def test_hop_that_lies(path, family, mtu, verdict):
    rules(f"icmp code frag-needed icmp mtu set {mtu}\nicmpv6 type packet-too-big icmpv6 mtu set {mtu}")
    result = probe(TARGET[family])
    assert (result.status, result.stderr) == (0, ""), result
    assert result.stdout.splitlines()[-3] == f"path MTU 1418, limited by {GATEWAY[family]}, {verdict}"
    entry = found(TARGET[family])
    assert (entry["mtu"], entry["limited_by"], entry["hop"], entry["hop_mtu"]) == (1418, "hop", GATEWAY[family], mtu)


@families
def test_the_interface_is_the_limit(path, family):
    """Nothing else is: also when larger packets are asked for."""
    last = ["path MTU 1500, limited by the interface wan of this host", "MSS 1460 (IPv4), 1440 (IPv6)",
            f"mssbpf attach --netns {HOST} wan --mtu 1500"]
    result = probe(GATEWAY[family])
    assert (result.status, result.stderr, result.stdout.splitlines()[-3:]) == (0, "", last)
    result = probe(GATEWAY[family], "--max", "65535")
    assert (result.status, result.stderr, result.stdout.splitlines()[-3:]) == (0, "", last)
    assert " 65535  too big for the interface wan, 1500 fits" in result.stdout.splitlines()


@families
def test_loopback(path, family):
    """The largest packet there is; nothing to attach to."""
    host = {4: "127.0.0.1", 6: "::1"}[family]
    entry = found(host)
    assert (entry["mtu"], entry["limited_by"], entry["interface"], entry["attach"]) == (65535, "maximum", "lo", None)
    assert probe(host).stdout.splitlines()[-1] == "nothing to attach to: the way is the loopback interface"


@pytest.mark.parametrize("limit,line,mss6", (
    (1280, "MSS 1240 (IPv4), 1220 (IPv6)", 1220),
    (1279, "MSS 1239 (IPv4); IPv6 needs an MTU of 1280 and does not fit this path", None),
    (575, "MSS 535 (IPv4); IPv6 needs an MTU of 1280 and does not fit this path", None)))
def test_small_mtu(path, limit, line, mss6):
    """What does not fit IPv6, or attach --mtu."""
    rules(f"meta length > {limit} drop", "forward")
    words = (TARGET[4], "--min", limit - 2, "--max", limit + 2)
    assert probe(*words).stdout.splitlines()[-2] == line
    entry = found(*words)
    assert (entry["mtu"], entry["mss4"], entry["mss6"]) == (limit, limit - 40, mss6)
    attach = entry["attach"].split()
    assert attach[5:] == (["--mtu", str(limit)] if limit >= 576 else ["--mss4", str(limit - 40)])
    program.mssbpf("attach", *attach[4:], netns=HOST)
    assert program.show(HOST)["wan", "egress"]["mss4"] == limit - 40
    program.detach(HOST, "wan")


@families
def test_edges_of_the_range(path, family):
    least = {4: 68, 6: 1280}[family]
    for low, high, mtu, limit in ((least, least, least, "maximum"), (1418, 1418, 1418, "maximum"),
                                  (least, 1418, 1418, "maximum"), (1418, 65535, 1418, "hop"),
                                  (1418, 1419, 1418, "hop")):
        entry = found(TARGET[family], "--min", low, "--max", high)
        assert (entry["mtu"], entry["limited_by"], entry["min"], entry["max"]) == (mtu, limit, low, high)
    result = probe(TARGET[family], "--max", 1400)
    assert result.stdout.splitlines()[-3] == "path MTU 1400, the largest size that was to be tried"


@families
def test_minimum_too_big(path, family):
    """For a hop, and for the interface."""
    result = probe(TARGET[family], "--min", 1419)
    assert (result.status, len(result.stdout.splitlines())) == (1, 1), result
    assert result.stderr == (f"mssbpf: {TARGET[family]} ({TARGET[family]}): {GATEWAY[family]} says: 1419 bytes are too "
                             "big, 1418 fits: lower --min\n")
    program.refused(probe(TARGET[family], "--min", 1501), 1, r"1501 bytes.*wan.*1500.*--min")


@families
def test_never_answers(path, family):
    rules(f"ip daddr {TARGET[4]} drop\nip6 daddr {TARGET[6]} drop", "forward")
    for json_option in ((), ("--json",)):
        result = probe(TARGET[family], *FAST, *json_option)
        assert result.status == 1, result
        assert len(result.stdout.splitlines()) == (not json_option)
        assert re.match(rf"mssbpf: {TARGET[family]} .*never answered: 12 probes of {LEAST[family]} bytes", result.stderr)
        assert "ICMP echo may be filtered" in result.stderr


@families
def test_path_that_dies(path, family):
    """Once nothing comes back at all, that is no size."""
    rules("limit rate over 1/hour burst 2 packets drop", "forward")  # the first request, and its answer
    result = probe(TARGET[family], *FAST)
    assert result.status == 1, result
    assert re.search(rf"no answer to \d+ probes of 1418 bytes.* 0 answers to 30 of {LEAST[family]} bytes.* too much is lost to tell size from loss", result.stderr)
    assert "path MTU" not in result.stdout


@families
@pytest.mark.parametrize("kind,words", (
    ("unreachable", {4: "host unreachable", 6: "no route to the host"}),
    ("prohibit", {4: "administratively prohibited", 6: "administratively prohibited"})))
def test_messages_that_are_not_about_size(path, family, kind, words):
    host = {4: "192.0.2.9", 6: "2001:db8:9::9"}[family]
    net.ip("-n", ROUTER, "route", "add", kind, host)
    try:
        result = probe(host)
    finally:
        net.ip("-n", ROUTER, "route", "delete", kind, host)
    assert result.status == 1, result
    assert re.search(rf"^mssbpf: .*{GATEWAY[family]} says: .*{words[family]}, to a probe of {LEAST[family]} bytes\n$",
                     result.stderr), result


@families
def test_firewall_that_refuses_large_packets(path, family):
    """Is reported as what it says, not as silence."""
    rules("meta length > 1400 reject with icmpx admin-prohibited", "forward")
    result = probe(TARGET[family], "--max", 1418)
    assert result.status == 1, result
    assert re.search(rf"{GATEWAY[family]} says: administratively prohibited, to a probe of 1418 bytes", result.stderr)
    assert "path MTU" not in result.stdout


@families
def test_own_firewall(path, family):
    rules("meta l4proto { icmp, ipv6-icmp } meta length > 1000 drop", "output", HOST)
    result = probe(TARGET[family], "--max", 1400)
    assert result.status == 1, result
    assert "this host says: a firewall rule of its own drops it" in result.stderr


@families
def test_neighbour_that_does_not_answer(path, family):
    for name in (f"ipv{family}/neigh/wan/mcast_solicit", f"ipv{family}/neigh/wan/ucast_solicit"):
        sysctl(HOST, name, 1)
    sysctl(HOST, f"ipv{family}/neigh/wan/retrans_time_ms", 100)
    host = {4: "198.51.100.99", 6: "2001:db8:1::99"}[family]
    result = probe(host)
    assert result.status == 1, result
    assert "this host says: unreachable: the next hop does not answer ARP or neighbour discovery" in result.stderr


@families
def test_no_route(pair, family):
    host = {4: "203.0.113.9", 6: "2001:db8:9::9"}[family]
    program.refused(program.mssbpf("probe", host, netns=pair.a), 1, rf"^mssbpf: {host}: no route to it")


@pytest.mark.parametrize("words,message", (
    (("no-such-host.invalid",), r"^mssbpf: no-such-host\.invalid: no address found for it: .+"),
    (("no-such-host.invalid", "-6"), "no IPv6 address found"), (("192.0.2.1", "-6"), "192.0.2.1: no IPv6 address"),
    (("2001:db8::1", "-4"), "2001:db8::1: no IPv4 address"), (("",), "no address found"), (("%s%n",), "%s%n: no add"),
    (("x" * 5000,), "no address found"), (("203.0.113.0/24",), "no address found"),
    (("224.0.0.1",), "multicast"), (("ff02::1%wan",), "multicast")), ids=lambda value: str(value)[:40])
def test_hosts_that_are_none(path, words, message):
    resolver = {**os.environ, "RES_OPTIONS": "timeout:1 attempts:1"}
    program.refused(probe(*words, env=resolver), 1, message)


def test_family(path):
    """A name with addresses of both families, by the caller's choice."""
    assert found("localhost", "-4")["address"] == "127.0.0.1"
    entry = found("localhost", "--ipv4")
    assert (entry["host"], entry["family"]) == ("localhost", "ipv4")
    assert found(TARGET[6], "-6")["family"] == "ipv6"


@families
def test_source(path, family):
    with net.Capture(FAR, "eth0") as capture:
        assert found(TARGET[family], "--source", SECOND[family], "--max", 1400)["mtu"] == 1400
        request, = capture.frames(1, lambda frame: not frame.outgoing and len(frame.data) > 1400)
    ip = request.data[14:]
    if family == 4:
        assert socket.inet_ntop(socket.AF_INET, ip[12:16]) == SECOND[4]
    else:
        assert socket.inet_ntop(socket.AF_INET6, ip[8:24]) == SECOND[6]


@families
def test_packets_have_df_and_their_size(path, family):
    with net.Capture(FAR, "eth0") as capture:
        found(TARGET[family], "--min", 1410, "--max", 1411)
        frames = capture.frames(2, lambda frame: not frame.outgoing and len(frame.data) > 1400)
    assert [len(frame.data) - 14 for frame in frames] == [1410, 1411]
    if family == 4:
        assert all(frame.data[20] & 0x40 for frame in frames)


def test_bad_sources(path):
    program.refused(probe(TARGET[4], "--source", "192.0.2.77"), 1, "--source 192.0.2.77: not an address of this host")
    program.refused(probe(TARGET[6], "-s", "2001:db8::77"), 1, "--source 2001:db8::77: not an address of this host")
    program.refused(probe(TARGET[4], "--source", SOURCE[6]), 1, f"{TARGET[4]}: no IPv6 address")
    for value in ("", "x", "wan", "1.2.3.4.5", "localhost"):
        program.refused(probe(TARGET[4], "--source", value), 2, f"--source '{value}'")
    program.refused(probe(TARGET[4], "-4", "--source", SOURCE[6]), 2, "--source.*not an IPv4 address")


@families
def test_interface(path, family):
    """The way by another interface, against the routes."""
    net.ip("-n", HOST, "link", "add", "x0", "mtu", "1300", "type", "veth", "peer", "name", "x1")
    for device in ("x0", "x1"):
        net.ip("-n", HOST, "link", "set", device, "up")
    net.ip("-n", HOST, "route", "add", TARGET[family], "dev", "x0")
    try:
        assert found(TARGET[family], "--interface", "wan")["mtu"] == 1418
        result = probe(TARGET[family], *FAST)
        assert result.status == 1 and "to 1300 bytes" in result.stdout, result
    finally:
        net.ip("-n", HOST, "link", "delete", "x0")
    for name in ("wg9", "", "x" * 16, "x" * 5000):
        program.refused(probe(TARGET[family], "-i", name), 1, f"--interface {name}: no such interface")


def test_progress_and_interrupt(path):
    """What is known is printed at once; an interrupt ends it."""
    rules(f"ip daddr {TARGET[4]} drop", "forward")
    with subprocess.Popen([program.MSSBPF, "probe", "-n", HOST, TARGET[4], "--timeout", "60000"],
                          stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline().startswith(f"probing {TARGET[4]} ")
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == -signal.SIGINT
        assert process.stdout.read() == ""


@families
def test_several_at_once(path, family):
    """Nobody takes another's answers for its own."""
    def start(size):
        return subprocess.Popen([program.MSSBPF, "probe", "-n", HOST, TARGET[family], "--json", "--max", str(size)],
                                stdout=subprocess.PIPE, text=True)

    rules(SILENT)
    processes = {size: start(size) for size in (1400, 1410, 1418, 1419, 1420)}
    for size, process in processes.items():
        assert json.loads(process.communicate(timeout=30)[0])["mtu"] == min(size, 1418)


UNPRIVILEGED = 65534


@pytest.fixture
def public_copy():
    """The program where an unprivileged user can run it."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        yield shutil.copy(program.MSSBPF, folder)


@families
def test_unprivileged(path, family, public_copy):
    """Where ping sockets are open to the user; all that root sees is seen there, too."""
    words = (public_copy, "probe", TARGET[family])
    sysctl(HOST, "ipv4/ping_group_range", f"{UNPRIVILEGED} {UNPRIVILEGED}")
    try:
        lines_match(in_host(*words, user=UNPRIVILEGED), *says_so(family))
        result = in_host(*words, "--max", "2000", user=UNPRIVILEGED)
        assert "  2000  too big for the interface wan, 1500 fits" in result.stdout.splitlines(), result
        rules("iifname \"lan\" meta length > 1410 reject with icmpx admin-prohibited", "forward")
        result = in_host(*words, "--max", "1411", user=UNPRIVILEGED)
        assert f"{GATEWAY[family]} says: administratively prohibited" in result.stderr, result
        rules(SILENT)
        result = in_host(*words, "--json", "--min", "1400", "--max", "1410", user=UNPRIVILEGED)
        assert json.loads(result.stdout)["mtu"] == 1410, result
    finally:
        sysctl(HOST, "ipv4/ping_group_range", "1 0")


@families
def test_unprivileged_without_ping_sockets(path, family, public_copy):
    """The message names both ways out."""
    program.refused(in_host(public_copy, "probe", TARGET[family], user=UNPRIVILEGED), 1,
                    r"^mssbpf: .*root.*CAP_NET_RAW.*net\.ipv4\.ping_group_range")
    result = in_host("setpriv", "--bounding-set=-all,+net_raw", program.MSSBPF, "probe", TARGET[family])
    lines_match(result, *says_so(family))


@pytest.mark.parametrize("words,message", (
    ((), "host.* missing"), (("192.0.2.1", "192.0.2.2"), "'192.0.2.2'"), (("192.0.2.1", "-4", "-6"), "--ipv4.*--ipv6"),
    (("192.0.2.1", "--min", "1401", "--max", "1400"), "--min 1401.*--max 1400"),
    *((("192.0.2.1", option, value), rf"{option} '{value}'.*\b68\b.*\b65535\b")
      for option in ("--min", "--max") for value in ("67", "65536", "0", "", "x", "-1", "4294967365")),
    *((("192.0.2.1", "--timeout", value), r"--timeout.*\b10\b.*\b60000\b.*milliseconds")
      for value in ("9", "60001", "0.5", "1s", "")),
    (("192.0.2.1", "--mtu", "1400"), "--mtu"), (("192.0.2.1", "--frob"), "--frob"),
    (("2001:db8:1::1", "--min", "1279"), r"--min 1279.*1280.*65535.*IPv6"),
    (("2001:db8:1::1", "--max", "1279"), r"--max 1279.*1280.*65535.*IPv6")), ids=str)
def test_usage(path, words, message):
    result = program.refused(probe(*words), 2, message)
    assert "--help" in result.stderr


@pytest.mark.parametrize("words", ((), ("--json",)), ids=("text", "json"))
def test_stdout_that_takes_nothing(path, words):
    result = in_host("sh", "-c", 'exec "$@" >/dev/full', "sh", program.MSSBPF, "probe", TARGET[4], *words)
    assert result.status == 1, result
    assert re.search(r"^mssbpf: standard output: .+", result.stderr), result
