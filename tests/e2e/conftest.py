# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Fixtures of the end-to-end level: the lab with the tunnel, a plain veth pair, and a clean state.

Nothing of ours may be left after any test, and nothing of others may be missing. Without root or the tools
the level is skipped and says why. Holds no test.
"""
import collections
import contextlib
import os
import pathlib
import shutil
import signal
import sys
import tempfile

import pytest

LIBRARY = pathlib.Path(__file__).resolve().parents[1] / "lib"
sys.path.insert(0, str(LIBRARY))

import bpf  # noqa: E402
import net  # noqa: E402
import program  # noqa: E402
import tunnels  # noqa: E402

TOOLS = ("ip", "tc", "nft", "ethtool", "tcpdump", "bpftool", "wg", "ping", "nsenter", "unshare", "setpriv")
LAB = "mssbpf-e2e"
# What depends on the kernel, and runs on several (make check-vm): these files, and what is marked vm in others.
VM_FILES = ("test_hooks.py", "test_tunnel.py", "test_detect.py")


def _why_not():
    """What keeps this machine from running the level, or None."""
    if os.geteuid() != 0:
        return "the end-to-end level makes network namespaces and needs root"
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    if missing:
        return f"not installed: {', '.join(missing)} (make deps)"
    result = net.run("unshare", "--net", "true")
    return f"no network namespaces here: {result.stderr.strip()}" if result.status else None


def pytest_report_header():
    return f"program: {program.MSSBPF}"


def pytest_terminal_summary(terminalreporter):
    """Why tests were skipped, once for each reason."""
    reasons = collections.Counter(report.longrepr[2] for report in terminalreporter.stats.get("skipped", []))
    for reason, number in reasons.items():
        terminalreporter.line(f"e2e: {number} SKIPPED: {reason.removeprefix('Skipped: ')}")


def pytest_configure(config):
    config.addinivalue_line("markers", "tcx: needs a kernel with TCX (6.6)")
    config.addinivalue_line("markers", "vm(old=False): depends on the kernel, and runs on several (make check-vm); "
                            "old: also where that takes long")
    config.addinivalue_line("markers", "vm_long: takes long on this kernel where the processor is emulated")


def pytest_itemcollected(item):
    """Kernels without TCX take long there to load programs, 5.10 some 2 seconds for a direction of a kind of link: tests in
    the lab find them loaded, and most of test_detect.py depends least on the kernel."""
    if item.path.name in VM_FILES:
        item.add_marker("vm")
    chosen = any(mark.kwargs.get("old") for mark in item.iter_markers("vm"))
    quick = "lab" in item.fixturenames or (item.path.name == "test_detect.py" and "wireguard" in item.name)
    if not (chosen or quick or bpf.has_tcx()):
        item.add_marker("vm_long")


@pytest.fixture(scope="session", autouse=True)
def machine():
    """Skips all where none can run. What names namespaces, locks and pins is each process's own: those that share the
    tests, and other runs, do not meet, and what ends leaves nothing."""
    reason = _why_not()
    if reason:
        pytest.skip(reason)
    # In the background it may be ignored, and by all that is started here.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    net.unshare_mounts()
    for path, kind in (("/run", "tmpfs"), ("/sys/fs/bpf", "bpf")):
        net.must("mount", "-t", kind, kind, path)
    os.makedirs("/run/lock")


@pytest.fixture(autouse=True)
def clean(request, machine):
    """No program of ours is left behind by the test; for pins and filters see detach_everything()."""
    if request.node.get_closest_marker("tcx") and not bpf.has_tcx():
        pytest.skip("this kernel has no TCX")
    program.loaded.clear()
    yield
    assert not program.leftover_programs()


def detach_everything(namespace):
    """Ends what a test attached in a namespace, and checks that nothing of it is left there."""
    result = program.mssbpf("detach", "--all", netns=namespace)
    assert (result.status, result.stderr) == (0, ""), result
    assert program.pins(namespace) == []
    assert program.our_filters_anywhere(namespace) == []


class Pair:
    """Two hosts, a and b, joined by one veth pair v0--v1 without offloads."""

    a, b = "mssbpf-e2e-a", "mssbpf-e2e-b"
    addresses = {4: ("192.0.2.1", "192.0.2.2"), 6: ("2001:db8::1", "2001:db8::2")}

    def __init__(self):
        net.make_namespaces(self.a, self.b)
        self.join("v0", "v1", *((f"{self.addresses[4][number]}/24", f"{self.addresses[6][number]}/64 nodad")
                                for number in (0, 1)))

    def join(self, device, peer, addresses=(), peer_addresses=()):
        """One more veth pair between the two."""
        net.ip_lines(f"link add {device} netns {self.a} type veth peer name {peer} netns {self.b}")
        for namespace, name, its in ((self.a, device, addresses), (self.b, peer, peer_addresses)):
            net.offloads(namespace, name, "off")
            net.ip_lines(f"link set {name} up", *(f"address add {one} dev {name}" for one in its), netns=namespace)

    def remove(self):
        try:
            for namespace in (self.a, self.b):
                detach_everything(namespace)
        finally:
            net.delete_namespaces(self.a, self.b)


@pytest.fixture
def pair(clean):
    made = Pair()
    yield made
    made.remove()


@pytest.fixture
def hosts(pair):
    return [tunnels.End(pair, number) for number in (0, 1)]


@pytest.fixture
def wireguards(hosts):
    """A function that makes a WireGuard device on one of the hosts."""
    with contextlib.ExitStack() as stack:
        def make_one(number=0):
            made = tunnels.Wireguard(hosts[number])
            stack.callback(made.remove)
            return made
        yield make_one


@pytest.fixture
def public_copy():
    """The program where an unprivileged user can run it."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        yield shutil.copy(program.MSSBPF, folder)


class Lab:
    """The lab of lab.sh; what reports that a packet is too big is dropped in it. Beside the tunnel's device the router
    has one that stays attached, and with it programs and maps: old kernels take seconds to load those where the
    processor is emulated."""

    client, router, far, server = (f"{LAB}-{name}" for name in ("client", "router", "far", "server"))
    addresses = {4: ("198.51.100.2", "203.0.113.2"), 6: ("2001:db8:1::2", "2001:db8:2::2")}
    kept = "kept0"


@pytest.fixture(scope="session")
def built_lab(machine):
    script = str(LIBRARY / "lab.sh")
    net.must(script, "down", LAB, timeout=60)
    result = net.run(script, "up", LAB, *os.environ.get("LAB_WIREGUARD", "").split(), timeout=120)
    if "/dev/net/tun" in result.stderr or "wireguard-go is not installed" in result.stderr:
        pytest.skip(result.stderr.strip())
    assert result.status == 0, result
    net.must(script, "icmp", LAB, "drop", timeout=60)
    net.ip("-n", Lab.router, "link", "add", Lab.kept, "type", "veth", "peer", "name", "kept1")
    program.attach(Lab.router, Lab.kept, "wg0", "--hook", "clsact", "--direction", "both")
    program.detach(Lab.router, "wg0")
    yield Lab()
    detach_everything(Lab.router)
    net.must(script, "down", LAB, timeout=60)
    assert not [name for name in os.listdir("/run/netns") if name.startswith(LAB)]


@pytest.fixture
def lab(built_lab, clean):
    pins, filters = program.pins(built_lab.router), program.our_filters_anywhere(built_lab.router)
    yield built_lab
    for namespace in (built_lab.client, built_lab.far, built_lab.server):
        detach_everything(namespace)
    program.mssbpf("detach", "wg0", netns=built_lab.router)
    assert (program.pins(built_lab.router), program.our_filters_anywhere(built_lab.router)) == (pins, filters)
    program.loaded.difference_update(program.programs(built_lab.router))
