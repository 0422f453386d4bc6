# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""`mssbpf exporter` as a process in a network namespace, HTTP to it, and metrics taken apart.

The reader of metrics is strict, and shares nothing with the program. Not a test.
"""
import contextlib
import http.client
import re
import select
import socket
import subprocess
import time

import net
import program

LISTEN = "127.0.0.1:9817"
PATIENCE = 10 * net.PATIENCE  # seconds, for what has to happen
KEPT = 1.1  # seconds; pages are kept for one at most


def address(listen):
    host, _, port = listen.rpartition(":")
    return host.strip("[]"), int(port)


def connect(namespace, listen=LISTEN, source=None):
    """A TCP connection from within the namespace."""
    with net.entered(namespace):
        family = socket.AF_INET6 if listen[0] == "[" else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(PATIENCE)
            if source:
                sock.bind((source, 0))
            sock.connect(address(listen))
        except OSError:
            sock.close()
            raise
        return sock


class Client(http.client.HTTPConnection):
    """An HTTP connection from within a namespace, kept open between requests."""

    def __init__(self, namespace, listen=LISTEN, source=None):
        super().__init__(*address(listen))
        self._where = namespace, listen, source

    def connect(self):
        self.sock = connect(*self._where)

    def get(self, path, method="GET", headers=None, body=None):
        """Status, headers and body."""
        self.request(method, path, headers=headers or {}, body=body)
        response = self.getresponse()
        return response.status, dict(response.getheaders()), response.read()


def get(namespace, path, listen=LISTEN, **options):
    with contextlib.closing(Client(namespace, listen)) as client:
        return client.get(path, **options)


def page(namespace, listen=LISTEN):
    """The text of /metrics."""
    status, headers, body = get(namespace, "/metrics", listen)
    assert (status, headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    return body.decode()


@contextlib.contextmanager
def running(*words, namespace, wrapper=(), listen=LISTEN, binary=None):
    """The exporter, once it listens; it ends well, unless the test ended it."""
    argv = [*wrapper, binary or program.MSSBPF, "exporter", *words]
    if listen != LISTEN:
        argv += ["--listen", listen]
    if not wrapper:
        argv += ["--netns", namespace]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                connect(namespace, listen).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(process.communicate()) from None
                time.sleep(0.02)
        yield process
        if process.poll() is None:
            process.terminate()
            assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.communicate()


def said(process):
    """What it has written to stderr up to now."""
    text = ""
    while select.select([process.stderr], [], [], 0.3)[0]:
        line = process.stderr.readline()
        if not line:
            break
        text += line
    return text


LABEL = r'([a-z_]+)="((?:[^"\\\n]|\\[\\"n])*)"'
SAMPLE = re.compile(rf'([a-z_]+)(?:\{{({LABEL}(?:,{LABEL})*)\}})? (\d+)')


def metrics(text):
    """Samples as {(name, ((label, value), ...)): number}, each once, those of a metric together behind its two heads."""
    assert text.endswith("\n")
    samples, heads, current = {}, {}, None
    for line in text.splitlines():
        head = re.fullmatch(r"# (HELP|TYPE) ([a-z_]+) (.+)", line)
        if head:
            kind, current, what = head.groups()
            assert kind not in heads.setdefault(current, {}), line
            heads[current][kind] = what
            continue
        match = SAMPLE.fullmatch(line)
        assert match, line
        name, labels, number = match.group(1), match.group(2) or "", int(match.groups()[-1])
        kind = heads[current]["TYPE"]
        assert name == current or kind == "histogram" and name in (current + s for s in ("_bucket", "_sum", "_count"))
        unescaped = tuple((label, value.replace("\\\\", "\0").replace('\\"', '"').replace("\0", "\\"))
                          for label, value in re.findall(LABEL, labels))
        assert (name, unescaped) not in samples, line
        samples[name, unescaped] = number
    assert all(set(head) == {"HELP", "TYPE"} for head in heads.values())
    return samples


def expected(stats, shown):
    """What the page has to say of what `stats --json` and `show` say."""
    samples = {}
    for entry in stats:
        where = ("interface", entry["interface"]), ("direction", entry["direction"])
        limits = shown[entry["interface"], entry["direction"]]
        samples["mssbpf_dry_run", where] = int(limits["mode"] == "dry-run")
        for family in ("ipv4", "ipv6"):
            labels, counts = (*where, ("family", family)), entry[family]
            limit = limits[{"ipv4": "mss4", "ipv6": "mss6"}[family]]
            if limit is not None:
                samples["mssbpf_mss_limit_bytes", labels] = limit
            for result in program.RESULTS:
                samples["mssbpf_syn_packets_total", (*labels, ("result", result))] = counts[result]
            for kind, key in (("syn", "syn_only"), ("syn_ack", "syn_ack"), ("unreadable", "unreadable")):
                samples["mssbpf_syn_kind_packets_total", (*labels, ("kind", kind))] = counts[key]
            count = 0
            for bucket in counts["announced"]:
                count += bucket["count"]
                bound = "+Inf" if bucket["up_to"] is None else str(bucket["up_to"])
                samples["mssbpf_announced_mss_bytes_bucket", (*labels, ("le", bound))] = count
            samples["mssbpf_announced_mss_bytes_sum", labels] = counts["announced_bytes"]
            samples["mssbpf_announced_mss_bytes_count", labels] = count
    return samples


def read(text):
    """The samples, without those about the page itself, which are checked here."""
    samples = metrics(text)
    assert abs(samples.pop(("mssbpf_read_timestamp_seconds", ())) - time.time()) < 10 * PATIENCE
    build, = [key for key in samples if key[0] == "mssbpf_build_info"]
    assert samples.pop(build) == 1 and [label for label, _ in build[1]] == ["version", "abi"]
    return samples
