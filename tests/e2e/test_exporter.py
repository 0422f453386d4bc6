# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Metrics for Prometheus: `stats --prometheus`, and `exporter`, scraped by a real Prometheus, by broken and hostile
clients, without privileges, and while interfaces come and go."""
import contextlib
import gzip
import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import time
import urllib.parse

import pytest

import exporter
import net
import packets
import program
from exporter import LISTEN, PATIENCE
from test_group import GROUP, MEMBER, OUTSIDER, attach as attach_with_group, group, run, user  # noqa: F401
from test_state import link
from test_stats import send


def all_stats(pair):
    return json.loads(program.mssbpf("stats", "--json", netns=pair.a).stdout)


def expected(pair):
    return exporter.expected(all_stats(pair), program.show(pair.a))


def some_of_everything(pair):
    """Interfaces of all kinds, and SYNs of many."""
    link(pair.a, "x0")
    link(pair.a, "x1")
    program.attach(pair.a, "v0", "--mtu", "1400", "--direction", "both")
    program.attach(pair.a, "x0", "--mtu", "1400", "--dry-run")
    program.attach(pair.a, "x1", "--mtu", "route")
    for family in (4, 6):
        send(pair, family, 500, 536, 537, *[1460] * 5, 9000)
    source, target = pair.addresses[4]
    with net.Sender(pair.a, "v0") as sender:
        for segment in (packets.tcp(), packets.tcp(packets.mss_option(1460), flags=packets.SYN | packets.ACK),
                        packets.tcp(packets.mss_option(1460))[:8]):
            sender.send(packets.frame(b"\x02\0\0\0\0\x99", net.mac(pair.a, "v0"), 4,
                                      packets.ip_packet(4, source, target, segment)))


def promtool(text):
    result = net.run("promtool", "check", "metrics", stdin=text)
    assert (result.status, result.stdout, result.stderr) == (0, "", ""), result


def test_stats_prometheus(pair):
    """For node_exporter's textfile collector: the same numbers as --json."""
    some_of_everything(pair)
    result = program.mssbpf("stats", "--prometheus", netns=pair.a)
    assert (result.status, result.stderr) == (0, "")
    promtool(result.stdout)
    samples = exporter.read(result.stdout)
    assert samples == expected(pair) and len({labels[0] for _, labels in samples}) == 3
    assert samples["mssbpf_syn_packets_total", (("interface", "v0"), ("direction", "egress"), ("family", "ipv4"),
                                                ("result", "clamped"))] >= 7
    one = exporter.read(program.mssbpf("stats", "--prometheus", "x0", netns=pair.a).stdout)
    assert {dict(labels)["interface"] for _, labels in one} == {"x0"}


@pytest.mark.parametrize("other", ("--json", "--watch", "--histogram", "--reset"))
def test_stats_prometheus_alone(pair, other):
    program.refused(program.mssbpf("stats", "--prometheus", other, netns=pair.a), 2, "--prometheus")


@pytest.mark.parametrize("listen", (LISTEN, "[::1]:9817", "0.0.0.0:8080", "[::]:8080"))
def test_exporter(pair, listen):
    some_of_everything(pair)
    with exporter.running(namespace=pair.a, listen=listen) as process:
        where = listen.replace("0.0.0.0", "127.0.0.1").replace("[::]", "127.0.0.1")
        text = exporter.page(pair.a, where)
        promtool(text)
        assert exporter.read(text) == expected(pair)
        status, headers, body = exporter.get(pair.a, "/healthz", where)
        assert (status, headers["Content-Type"], body) == (200, "text/plain", b"ok\n")
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
        assert process.communicate() == ("", "")


class Prometheus:
    """A real one, in a network namespace, that scrapes the exporter every second."""

    def __init__(self, namespace, folder):
        self.namespace = namespace
        config = folder / "prometheus.yml"
        config.write_text("global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: mssbpf\n"
                          f"  static_configs: [{{targets: ['{LISTEN}']}}]\n")
        net.must("promtool", "check", "config", str(config))
        self.log = open(folder / "log", "w+", encoding="utf-8")
        self.process = subprocess.Popen(
            ["nsenter", f"--net=/run/netns/{namespace}", "prometheus", f"--config.file={config}",
             f"--storage.tsdb.path={folder}/data", "--web.listen-address=127.0.0.1:9090"],
            stdout=self.log, stderr=self.log)

    def query(self, expression):
        """Its answer, as {(name, labels): number}; None while it does not answer."""
        try:
            status, _, body = exporter.get(self.namespace, "/api/v1/query?" + urllib.parse.urlencode({"query": expression}),
                                           "127.0.0.1:9090")
        except OSError:
            return None
        if status != 200:
            return None
        answer = json.loads(body)
        assert answer["status"] == "success", answer
        order = ("interface", "direction", "family", "result", "kind", "le")
        return {(sample["metric"].get("__name__"), tuple((label, sample["metric"][label]) for label in order
                                                         if label in sample["metric"])): float(sample["value"][1])
                for sample in answer["data"]["result"]}

    def wait(self, expression, condition):
        deadline = time.monotonic() + 6 * PATIENCE
        while time.monotonic() < deadline:
            answer = self.query(expression)
            if answer is not None and condition(answer):
                return answer
            time.sleep(0.2)
        self.log.seek(0)
        raise AssertionError((answer, self.log.read()))

    def stop(self):
        self.process.terminate()
        self.process.wait(6 * PATIENCE)
        self.log.close()


def dashboard_queries():
    dashboard = json.loads((program.ROOT / "loader/grafana-dashboard.json").read_text())
    return [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]


def test_prometheus(pair, tmp_path):
    """What it answers is what `stats --json` says, of every number, and follows it."""
    some_of_everything(pair)
    with exporter.running(namespace=pair.a):
        prometheus = Prometheus(pair.a, tmp_path)
        try:
            everything = '{__name__=~"mssbpf_(syn|announced|mss|dry).*"}'
            wanted = expected(pair)
            assert prometheus.wait(everything, lambda answer: answer) == wanted
            send(pair, 4, *[1460] * 10)
            assert expected(pair) != wanted
            wanted = expected(pair)
            prometheus.wait(everything, lambda answer: answer == wanted)
            assert prometheus.query("up") == {("up", ()): 1}
            median = prometheus.query("histogram_quantile(0.5, sum by (le) (mssbpf_announced_mss_bytes_bucket))")
            assert 1452 <= median[None, ()] <= 1460
            for query in dashboard_queries():  # as Grafana asks, of all hosts and interfaces
                whole = re.sub(r"\$__(rate_interval|range)", "10s", re.sub(r"\$(instance|interface)", ".*", query))
                assert "$" not in whole
                prometheus.wait(whole, bool)
        finally:
            prometheus.stop()


def test_dashboard(pair):
    """Every query in it is of metrics that there are; that each shows something, a real Prometheus says above."""
    some_of_everything(pair)
    names = {name for name, _ in exporter.metrics(program.mssbpf("stats", "--prometheus", netns=pair.a).stdout)}
    queries = dashboard_queries()
    assert len(queries) >= 5
    for query in queries:
        assert set(re.findall(r"mssbpf_[a-z_]+", query)) <= names, query


def test_pages(pair):
    """What else it answers, on one connection; without a page that was asked for in an other way."""
    program.attach(pair.a, "v0")
    with exporter.running(namespace=pair.a), contextlib.closing(exporter.Client(pair.a)) as client:
        for path in ("/", "/metrics/", "/metricsx", "/Metrics", "/../etc/passwd", "/%2e%2e/", "//metrics"):
            status, _, body = client.get(path)
            assert status == 404 and b"/metrics" in body, path
        plain = client.get("/metrics?x=1")[2]
        assert b"mssbpf_syn_packets_total" in plain
        status, headers, body = client.get("/metrics", "HEAD")
        assert (status, int(headers["Content-Length"]), body) == (200, len(plain), b"")
        for encodings, packed in (("gzip", True), ("deflate, gzip;q=1.0", True), ("br", False), ("gzip;q=0", False),
                                  ("gzip;q=0.0, br", False), ("gzip; q=0.5", True), ("identity", False)):
            status, headers, body = client.get("/metrics", headers={"Accept-Encoding": encodings})
            assert (status, headers.get("Content-Encoding")) == (200, "gzip" if packed else None), encodings
            text = gzip.decompress(body) if packed else body
            assert exporter.read(text.decode()) == exporter.read(plain.decode())
        status, headers, _ = client.get("/metrics", "DELETE")
        assert (status, headers["Allow"]) == (405, "GET, HEAD")
        assert client.get("/metrics", "POST", body=b"x" * 100000)[0] == 405
        assert client.get("/metrics", body=b"x")[0] == 413
        assert client.get("/healthz")[0] == 200


def test_interfaces_that_come_and_go(pair):
    """Each page is of what there is: other interfaces, none, other maps at the same place."""
    with exporter.running(namespace=pair.a) as process:
        def names():
            time.sleep(exporter.KEPT)
            return {dict(labels)["interface"] for _, labels in exporter.read(exporter.page(pair.a))}
        assert names() == set()
        promtool(exporter.page(pair.a))
        link(pair.a, "x0")
        program.attach(pair.a, "v0", "x0")
        assert names() == {"v0", "x0"}
        net.ip("-n", pair.a, "link", "delete", "x0")
        assert names() == {"v0"}
        send(pair, 4, 1460)
        program.detach(pair.a, "--all")
        assert names() == set() and exporter.get(pair.a, "/healthz")[0] == 200
        program.attach(pair.a, "v0", "--mtu", "1300")
        time.sleep(exporter.KEPT)
        assert exporter.read(exporter.page(pair.a)) == expected(pair)
        assert all_stats(pair)[0]["syn"] == 0
        assert exporter.said(process) == ""


def test_pins_come_and_go_all_the_time(pair):
    """Every page is a whole one, whatever `attach` and `detach` do meanwhile."""
    script = f'while :; do "{program.MSSBPF}" attach --netns {pair.a} v0 --hook clsact && "{program.MSSBPF}" detach --netns {pair.a} --all; done'
    with exporter.running(namespace=pair.a) as process:
        other = subprocess.Popen(["sh", "-c", script], start_new_session=True)
        try:
            seen, number, deadline = set(), 0, time.monotonic() + 6 * PATIENCE
            while number < 300 or (len(seen) < 2 and time.monotonic() < deadline):
                status, _, body = exporter.get(pair.a, "/metrics")
                assert status == 200, exporter.said(process)
                seen.add(len(exporter.read(body.decode())))
                time.sleep(0.01)
                number += 1
        finally:
            os.killpg(other.pid, signal.SIGKILL)
            other.wait()
        assert seen == {0, len(MANY)}, seen
        assert exporter.said(process) == ""


# The samples of one interface and direction: dry run, limits, results, kinds, buckets with their sum and count.
MANY = range(1 + 2 * (1 + len(program.RESULTS) + 3 + 13 + 2))


@pytest.mark.parametrize("name", ('a"b\\c', "é日本", "\\n", "{x}=1,"))
def test_names_that_need_care(pair, name):
    link(pair.a, name)
    program.attach(pair.a, name)
    with exporter.running(namespace=pair.a):
        text = exporter.page(pair.a)
        promtool(text)
        assert {dict(labels)["interface"] for _, labels in exporter.read(text)} == {name}


def test_names_that_are_no_text(pair):
    """Prometheus would refuse the whole page."""
    names = {b"\xff\xfe": r"\xff\xfe", b"\xed\xaf\xbf": r"\xed\xaf\xbf", b"\xc0\xaf": r"\xc0\xaf",
             b"\xe0\x80\xaf": r"\xe0\x80\xaf", b"ok\xc3": r"ok\xc3"}
    try:
        for number, name in enumerate(names):
            net.must("ip", "-n", pair.a, "link", "add", os.fsdecode(name), "type", "veth", "peer", "name", f"p{number}")
            program.done(program.mssbpf("attach", os.fsdecode(name), netns=pair.a))
        result = program.mssbpf("stats", "--prometheus", netns=pair.a)
        assert (result.status, result.stderr) == (0, "")
        promtool(result.stdout)
        assert {dict(labels)["interface"] for _, labels in exporter.read(result.stdout)} == set(names.values())
    finally:
        for number in range(len(names)):
            net.run("ip", "-n", pair.a, "link", "delete", f"p{number}")


@pytest.mark.parametrize("listen", (
    "", ":", ":9817", "9817", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:99999999999",
    "127.0.0.1:-1", "127.0.0.1:+1", "127.0.0.1: 1", "127.0.0.1:0x50", "127.0.0.1:80x", "127.1:80", "1:80", "0x7f.0.0.1:80",
    "300.0.0.1:80", "localhost:9817", "::1:9817", "[::1]", "[::1]9817", "[::1:9817", "::1]:9817", "[]:9817", "[:9817",
    "[127.0.0.1]:9817", "[::1]:http", "x" * 5000, "x" * 5000 + ":9817"))
def test_listen_malformed(clean, listen):
    result = net.run(program.MSSBPF, "exporter", "--listen", listen)
    program.refused(result, 2, r"^mssbpf: exporter: --listen '.*127\.0\.0\.1:9817 or \[::1\]:9817; 0\.0\.0\.0 and")


def test_listen_refused(pair, public_copy):
    program.refused(program.mssbpf("exporter", "--listen", "192.0.2.77:9817", netns=pair.a), 1,
                    r"^mssbpf: --listen 192\.0\.2\.77:9817: .*no interface")
    program.refused(program.mssbpf("exporter", "eth0", netns=pair.a), 2, "takes no argument: 'eth0'")
    with exporter.running(namespace=pair.a):
        program.refused(program.mssbpf("exporter", netns=pair.a), 1,
                        r"^mssbpf: --listen 127\.0\.0\.1:9817: Address already in use; another exporter runs")
    result = net.run("nsenter", f"--net=/run/netns/{pair.a}", "setpriv", "--reuid=65534", "--regid=65534",
                     "--clear-groups", public_copy, "exporter", "--listen", "127.0.0.1:80")
    program.refused(result, 1, r"^mssbpf: --listen 127\.0\.0\.1:80: .*below 1024 takes root, or CAP_NET_BIND_SERVICE")


def status_of(process, *keys):
    with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
        fields = dict(line.rstrip("\n").split(":", 1) for line in file)
    return [fields[key].split() for key in keys]


CAPABILITIES = ("CapBnd", "CapInh", "CapPrm", "CapEff", "CapAmb")


def gave_up(process, bounding=True, kept=0):
    """No capability is left, nor a way to one, and there is one thread."""
    if not program.at_least(5, 19) and int(net.must("sysctl", "-n", "kernel.unprivileged_bpf_disabled")):
        kept |= 1 << 39  # CAP_BPF
    for name, (value,) in zip(CAPABILITIES, status_of(process, *CAPABILITIES)):
        assert int(value, 16) == (kept if name in ("CapPrm", "CapEff") else 0) or (name == "CapBnd" and not bounding)
    assert status_of(process, "NoNewPrivs", "Threads") == [["1"], ["1"]]


READ_SEARCH = 1 << 2  # CAP_DAC_READ_SEARCH


@pytest.mark.vm
def test_privileges(pair):
    """Without the group it is nobody who can read what is root's, also what is pinned later."""
    program.attach(pair.a, "v0")
    with exporter.running(namespace=pair.a) as process:
        assert exporter.read(exporter.page(pair.a)) == expected(pair)
        gave_up(process, kept=READ_SEARCH)
        assert status_of(process, "Uid", "Gid", "Groups") == [["65534"] * 4, ["65534"] * 4, ["65534"]]
        program.detach(pair.a, "--all")
        program.attach(pair.a, "v0", "--mtu", "1300")
        time.sleep(exporter.KEPT)
        assert exporter.read(exporter.page(pair.a)) == expected(pair)
        assert exporter.said(process) == ""


def test_privileges_of_a_root_that_cannot_read_all(pair):
    """One without CAP_DAC_READ_SEARCH has to stay root, who owns the pins; no capability is left."""
    program.attach(pair.a, "v0")
    less = ("nsenter", f"--net=/run/netns/{pair.a}", "setpriv", "--bounding-set=-dac_read_search")
    with exporter.running(namespace=pair.a, wrapper=less) as process:
        assert exporter.read(exporter.page(pair.a)) == expected(pair)
        gave_up(process)
        assert status_of(process, "Uid") == [["0"] * 4]


def in_namespace(pair, group, *command):
    """What runs a command in host a's namespace, on a system with the group, as the process that is started."""
    return ("unshare", "--mount", "sh", "-ec", 'mount --bind "$1" /etc/group; shift; exec "$@"', "sh", str(group),
            "nsenter", f"--net=/run/netns/{pair.a}", *command)


@pytest.mark.vm
def test_privileges_with_the_group(pair, group):  # noqa: F811
    """Then it is nobody, of this group alone; and what was pinned before there was the group is given to it."""
    program.attach(pair.a, "v0")
    with exporter.running(namespace=pair.a, wrapper=in_namespace(pair, group)) as process:
        assert exporter.read(exporter.page(pair.a)) == expected(pair)
        gave_up(process)
        assert status_of(process, "Uid", "Gid", "Groups") == [["65534"] * 4, [str(GROUP)] * 4, [str(GROUP)]]
        program.detach(pair.a, "--all")
        attach_with_group(pair, group, "v0", "--mtu", "1300")
        time.sleep(exporter.KEPT)
        assert exporter.read(exporter.page(pair.a)) == expected(pair)
        assert exporter.said(process) == ""


def test_as_a_member(pair, group, public_copy):  # noqa: F811
    attach_with_group(pair, group, "v0")
    send(pair, 4, 1460)
    with exporter.running(namespace=pair.a, wrapper=in_namespace(pair, group, *user(MEMBER)), binary=public_copy) as process:
        assert exporter.read(exporter.page(pair.a)) == expected(pair)
        gave_up(process, bounding=False)  # that takes CAP_SETPCAP
        assert exporter.said(process) == ""


def test_as_an_outsider(pair, group, public_copy):  # noqa: F811
    """It says why on stderr, not in every answer, and tells the server that it has nothing."""
    attach_with_group(pair, group, "v0")
    with exporter.running(namespace=pair.a, wrapper=in_namespace(pair, group, *user(OUTSIDER)),
                          binary=public_copy) as process:
        start = time.monotonic()
        for path in ("/metrics", "/healthz") * 20:
            status, _, body = exporter.get(pair.a, path)
            assert status == 503 and b"messages say why" in body and b"mssbpf_" not in body
        text = exporter.said(process)
        assert re.search(r"^mssbpf: .*Permission denied; this takes root, or to read alone, the group mssbpf$", text, re.M)
        assert len(text.splitlines()) <= 2 + (time.monotonic() - start) // 5  # at the beginning, then every 5 s at most


def test_a_pin_that_is_lost(pair):
    """It says so, goes on, and serves again what is attached anew."""
    program.attach(pair.a, "v0")
    folder = program.PINS / str(net.inode(pair.a))
    with exporter.running(namespace=pair.a) as process:
        assert exporter.get(pair.a, "/healthz")[0] == 200
        os.unlink(folder / "counters")
        time.sleep(exporter.KEPT)
        assert exporter.get(pair.a, "/metrics")[0] == 503
        assert exporter.get(pair.a, "/healthz")[0] == 503
        assert "not whole" in exporter.said(process)
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
        program.attach(pair.a, "v0")
        deadline = time.monotonic() + PATIENCE
        while exporter.get(pair.a, "/metrics")[0] != 200 and time.monotonic() < deadline:
            time.sleep(0.2)
        assert exporter.read(exporter.page(pair.a)) == expected(pair)


def closed(sock):
    """The other end has closed the connection, or does so soon; returns what it sent before."""
    sock.settimeout(8 * PATIENCE)
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := sock.recv(65536):
            data += chunk
    return data


@pytest.mark.parametrize("sent", (
    b"\r\n\r\n\r\n", b"GET\r\n\r\n", b"GET /metrics\r\n\r\n", b"\0" * 20000, b"\x16\x03\x01\x02\0" * 100, b"GET " + b"/" * 20000,
    b"GET /metrics HTTP/9.9\r\n\r\n", b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * 5000,
    b"GET /metrics HTTP/1.1\r\nX: " + b"y" * 20000, b"GET /metrics HTTP/1.1\r\n\r\n",
    b"GET /metrics HTTP/1.0\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"POST /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 100, b"GET /metr\0ics HTTP/1.1\r\nHost: x\r\n\r\n"),
    ids=lambda sent: repr(sent[:24]))
def test_broken_requests(pair, sent):
    """Whatever comes, the next client is served."""
    program.attach(pair.a, "v0")
    with exporter.running(namespace=pair.a) as process:
        for end in (socket.SHUT_WR, None):
            with exporter.connect(pair.a) as sock:
                with contextlib.suppress(ConnectionError):
                    sock.sendall(sent)
                if end is None:  # reset
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    continue
                with contextlib.suppress(OSError):
                    sock.shutdown(end)
                data = closed(sock)
                assert not data or data.startswith(b"HTTP/1.")
        assert exporter.read(exporter.page(pair.a)) == expected(pair)
        assert process.poll() is None


def test_too_many_connections_from_one_address(pair):
    """Those beyond the limit are closed; other addresses are served, and so is this one when it lets go."""
    program.attach(pair.a, "v0")
    with exporter.running(namespace=pair.a), contextlib.ExitStack() as stack:
        held = [stack.enter_context(exporter.connect(pair.a)) for _ in range(40)]
        deadline = time.monotonic() + PATIENCE
        while len(select.select(held, [], [], 0)[0]) < 8 and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.3)
        assert len(select.select(held, [], [], 0)[0]) == 8
        with contextlib.closing(exporter.Client(pair.a, source="127.0.0.2")) as other:
            assert other.get("/healthz")[0] == 200
        for sock in held:
            sock.close()
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, exporter.http.client.HTTPException):
                assert exporter.get(pair.a, "/healthz")[0] == 200
                break
        else:
            raise AssertionError("not served any more")


def test_slow_clients(pair):
    """One that says nothing, one that goes on for ever, and one that does not read are all left in the end."""
    for number in range(40):
        link(pair.a, f"x{number}")
    program.attach(pair.a, "x*")
    with exporter.running(namespace=pair.a) as process, contextlib.ExitStack() as stack:
        silent, slow, deaf = (stack.enter_context(exporter.connect(pair.a)) for _ in range(3))
        deaf.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 50)
        slow.sendall(b"GET /metrics HTTP/1.1\r\n")
        deadline = time.monotonic() + 10 * PATIENCE
        with contextlib.suppress(ConnectionError):
            while time.monotonic() < deadline:
                slow.sendall(b"X")
                assert exporter.get(pair.a, "/healthz")[0] == 200
                time.sleep(1)
        assert time.monotonic() < deadline, "a request that never ends is still read"
        assert closed(silent) == b""
        descriptors = os.listdir(f"/proc/{process.pid}/fd")
        deadline = time.monotonic() + 6 * PATIENCE
        while len(descriptors) > 8 and time.monotonic() < deadline:
            time.sleep(1)
            descriptors = os.listdir(f"/proc/{process.pid}/fd")
        assert len(descriptors) <= 8


@pytest.mark.parametrize("number", (signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
def test_ends_by_signal(pair, number):
    """With clients in the middle of something."""
    program.attach(pair.a, "v0")
    with exporter.running(namespace=pair.a) as process, exporter.connect(pair.a) as idle, exporter.connect(pair.a) as half:
        half.sendall(b"GET /metrics HTT")
        assert exporter.get(pair.a, "/healthz")[0] == 200
        process.send_signal(number)
        assert process.wait(PATIENCE) == 0
        assert process.communicate() == ("", "")
        assert closed(idle) == b""


def test_memory_stays(pair):
    """Many scrapes, one behind the other and compressed: memory, descriptors and the answer stay as they are."""
    for number in range(20):
        link(pair.a, f"x{number}")
    program.attach(pair.a, "x*")
    with exporter.running(namespace=pair.a) as process, contextlib.closing(exporter.Client(pair.a)) as client:
        sizes = []
        for number in range(4000):
            status, _, _ = client.get("/metrics", headers={"Accept-Encoding": "gzip"} if number % 2 else {})
            assert status == 200
            if number % 1000 == 999:
                sizes.append(int(status_of(process, "VmRSS")[0][0]))
        assert sizes[-1] - sizes[0] < 1024, sizes
        assert exporter.read(exporter.page(pair.a)) == expected(pair)


def test_benchmark(clean):
    """Short; `make bench-exporter` is the long one. It checks every answer, and no time."""
    result = net.run("/usr/bin/python3", "-B", str(program.ROOT / "tests/bench/exporter.py"), "10", "200", "2", timeout=120)
    assert (result.status, result.stderr) == (0, ""), result
    assert result.stdout.startswith("10 interfaces: ") and result.stdout.count(" scrapes ") == 20
