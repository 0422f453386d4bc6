# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The XDP hook: packets as virtual devices hand them to it, its two modes, programs of others, state.

What the program makes of each packet is the subject of level prog; other hooks have test_hooks.py and test_state.py.
"""
import os
import random
import socket
import struct
import subprocess
import threading
import time

import pytest

import bpf
import net
import packets
import program
from test_hooks import connect
from test_recovery import refusals
from test_skb import FAMILY, FULL, LOW, Behind, crafted, families, is_syn, tagged
from test_state import another_build, link, send_syn

modes = pytest.mark.parametrize("mode", ("native", "generic"))


def attach(pair, mode, *options, device="v0"):
    program.attach(pair.a, device, "--hook", "xdp", "--xdp-mode", mode, *options)


def exchange(sender, receiver, size):
    """Everything that is sent arrives."""
    sender.sendall(b"x" * size)
    received = b""
    while len(received) < size:
        part = receiver.recv(size - len(received))
        assert part
        received += part
    assert received == b"x" * size


@modes
def test_attach_and_detach(pair, mode):
    attach(pair, mode, "--mtu", 1400)
    assert connect(pair) == (1460, 1360)
    entry = program.show(pair.a)["v0", "ingress"]
    assert (entry["hook"], entry["xdp_mode"], entry["mss4"]) == ("xdp", mode, 1360)
    assert program.xdp(pair.a, "v0") == (mode, entry["program_id"])
    assert f"xdp-{mode}" in program.mssbpf("show", netns=pair.a).stdout
    assert program.counted(pair.a, "v0", "ingress") == {"syn": 1, "clamped": 1}
    program.detach(pair.a, "v0")
    assert program.xdp(pair.a, "v0") is None
    assert program.pins(pair.a) == []
    assert connect(pair) == (1460, 1460)


def test_native_is_chosen_else_generic(pair):
    """A bridge has no native XDP."""
    net.ip("-n", pair.a, "link", "add", "br0", "type", "bridge")
    program.attach(pair.a, "v0", "br0", "--hook", "xdp", "--mtu", 1400)
    assert program.xdp(pair.a, "v0")[0] == "native"
    assert program.xdp(pair.a, "br0")[0] == "generic"
    program.refused(program.mssbpf("attach", "br0", "--hook", "xdp", "--xdp-mode", "native", netns=pair.a), 1,
                    "^mssbpf: br0: its driver refuses native XDP: .*--xdp-mode generic")
    assert program.xdp(pair.a, "br0")[0] == "generic"
    assert program.show(pair.a)["br0", "ingress"]["mtu"] == 1400


def test_a_native_mode_that_is_refused_leaves_nothing(pair):
    net.ip("-n", pair.a, "link", "add", "br0", "type", "bridge")
    program.refused(program.mssbpf("attach", "br0", "--hook", "xdp", "--xdp-mode", "native", netns=pair.a), 1,
                    "refuses native XDP")
    assert program.pins(pair.a) == []


@modes
@families
@pytest.mark.parametrize("offload", ("on", "off"))
def test_syn_of_a_local_socket(pair, mode, family, offload):
    """With offload, the checksum is unfinished when the SYN passes XDP; it is finished where it leaves b, and right.

    From a by v0 to v1, where XDP is, over a bridge to w1, which has no offload, and so to w0.
    """
    address = {4: "192.0.2.99", 6: "2001:db8::99"}[family]
    net.offloads(pair.a, "v0", offload)
    net.ip("-n", pair.a, "neighbour", "add", address, "lladdr", "02:00:00:00:00:99", "dev", "v0")
    with Behind(pair) as behind:
        program.attach(pair.b, "v1", "--mtu", 1400, "--hook", "xdp", "--xdp-mode", mode)
        for payload in (b"", b"x" * 700):
            with net.entered(pair.a):
                client = socket.socket(FAMILY[family], socket.SOCK_STREAM)
            client.setblocking(False)
            if payload:  # a TFO cookie by hand is not needed to send data in a SYN
                net.must("ip", "netns", "exec", pair.a, "sysctl", "-qw", "net.ipv4.tcp_fastopen=5")
                client.sendto(payload, socket.MSG_FASTOPEN, (address, 80))
            else:
                assert client.connect_ex((address, 80))
            captured, = behind.capture.frames(1, lambda frame: not frame.outgoing and is_syn(frame))
            client.close()
            segment = packets.dissect(captured.data)
            assert segment.mss == [LOW[family]]
            assert not captured.partial and segment.checksum_right, segment
            assert segment.packet.endswith(payload)
        counted = program.counted(pair.b, "v1", "ingress")
        assert counted["clamped"] == counted["syn"] >= 2


@modes
@families
def test_connections(pair, mode, family):
    """Between stacks with offloads on, data in both directions."""
    for end in ((pair.a, "v0"), (pair.b, "v1")):
        net.offloads(*end, "on")
    attach(pair, mode, "--mtu", 1400)
    target = pair.addresses[family][1]
    with net.listener(pair.b, FAMILY[family], target) as server, \
            net.connected(pair.a, FAMILY[family], target, server.getsockname()[1]) as client:
        accepted, _ = server.accept()
        with accepted:
            assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) == LOW[family] - 12
            exchange(client, accepted, 50000)
            exchange(accepted, client, 50000)


@modes
@families
@tagged
def test_vlan_tags(pair, mode, family, tags):
    with Behind(pair) as behind, net.Sender(pair.a, "v0") as sender:
        program.attach(pair.b, "v1", "--mtu", 1400, "--hook", "xdp", "--xdp-mode", mode)
        for offset in (0, 1):
            segment = behind.deliver(sender, crafted(pair, family, packets.options_at(offset, FULL[family]), tags))
            assert segment.options == packets.options_at(offset, LOW[family])
            assert segment.checksum_right, segment
            assert segment.tags == tags
        assert program.counted(pair.b, "v1", "ingress") == {"syn": 2, "clamped": 2}


@modes
@families
def test_pppoe(pair, mode, family):
    """A session's frames that pass a port, as in front of a concentrator."""
    def session(frame):
        packet = frame[14:]
        protocol = {4: 0x0021, 6: 0x0057}[family]
        return frame[:12] + struct.pack("!HBBHHH", 0x8864, 0x11, 0, 23, len(packet) + 2, protocol) + packet

    sent, expected = (crafted(pair, family, packets.options_at(1, mss)) for mss in (FULL[family], LOW[family]))
    with Behind(pair) as behind, net.Sender(pair.a, "v0") as sender:
        program.attach(pair.b, "v1", "--mtu", 1400, "--hook", "xdp", "--xdp-mode", mode)
        sender.send(session(sent))
        captured, = behind.capture.frames(1, lambda frame: not frame.outgoing and frame.data[12:14] == b"\x88\x64")
        assert captured.data == session(expected)
        assert program.counted(pair.b, "v1", "ingress") == {"syn": 1, "clamped": 1}


@modes
@pytest.mark.parametrize("theirs", ("native", "generic"))
def test_another_program_is_there(pair, mode, theirs):
    """It stays, and the error names it."""
    foreign = bpf.Counter("foreign_xdp", bpf.XDP_PASS, bpf.BPF_PROG_TYPE_XDP)
    foreign.attach_xdp(pair.a, "v0", theirs)
    for options in ((), ("--xdp-mode", mode)):
        program.refused(program.mssbpf("attach", "v0", "--hook", "xdp", *options, netns=pair.a), 1,
                        rf"^mssbpf: v0: .*foreign_xdp.* {foreign.number}\b.*{theirs}")
        assert program.xdp(pair.a, "v0") == (theirs, foreign.number)
        assert program.pins(pair.a) == []
    program.attach(pair.a, "v0", "--mtu", 1400, "--direction", "ingress")
    program.refused(program.mssbpf("attach", "v0", "--hook", "xdp", "--mtu", 1300, netns=pair.a), 1, "foreign_xdp")
    assert program.show(pair.a)["v0", "ingress"]["mtu"] == 1400
    assert connect(pair) == (1460, 1360)
    assert foreign.packets
    foreign.close()


@modes
def test_another_program_took_the_place(pair, mode):
    """Ours was detached by somebody, another is there now: it is not taken for ours, nor taken off."""
    attach(pair, mode)
    pin, = (pin for pin in program.pins(pair.a) if f"link_{net.ifindex(pair.a, 'v0')}_" in pin)
    net.must("bpftool", "link", "detach", "pinned", pin)
    foreign = bpf.Counter("foreign_xdp", bpf.XDP_PASS, bpf.BPF_PROG_TYPE_XDP)
    foreign.attach_xdp(pair.a, "v0", mode)
    assert program.show(pair.a) == {}
    program.detach(pair.a, "--all")
    assert program.xdp(pair.a, "v0") == (mode, foreign.number)
    assert program.pins(pair.a) == []
    foreign.close()


HOOKS = {"native": ("xdp", "native"), "generic": ("xdp", "generic"), "tcx": ("tcx",), "clsact": ("clsact",)}


def move(pair, namespace, device, hook):
    words = ["--hook", HOOKS[hook][0], *(("--xdp-mode", HOOKS[hook][1]) if len(HOOKS[hook]) > 1 else ())]
    program.attach(namespace, device, "--mtu", 1400, "--direction", "ingress", *words)
    entry = program.show(namespace)[device, "ingress"]
    assert (entry["hook"], *((entry["xdp_mode"],) if "xdp_mode" in entry else ())) == HOOKS[hook]
    found = program.xdp(namespace, device)
    assert (found and found[0]) == (hook if hook in ("native", "generic") else None)
    assert program.attached(namespace, device, "ingress") == (int(hook == "tcx"), int(hook == "clsact"))


@pytest.mark.tcx
def test_moving_while_syns_flow(pair):
    """From every hook to every other, also between the modes: no SYN gets past unclamped, and all are counted once."""
    frame = crafted(pair, 4, packets.options_at(1, FULL[4]))
    stop, arrived = threading.Event(), []

    def flow(sender):
        while not stop.is_set():
            sender.send(frame)
            stop.wait(0.0005)

    with Behind(pair) as behind, net.Sender(pair.a, "v0") as sender:
        move(pair, pair.b, "v1", "native")
        thread = threading.Thread(target=flow, args=(sender,))
        thread.start()
        try:
            for hook in ("generic", "tcx", "generic", "clsact", "native", "tcx", "native", "clsact", "generic",
                         "native", "native"):
                move(pair, pair.b, "v1", hook)
        finally:
            stop.set()
            thread.join()
        while found := behind.capture.frames(1, lambda frame: not frame.outgoing and is_syn(frame), 0.5):
            arrived += [(packets.dissect(found[0].data).mss, packets.dissect(found[0].data).checksum_right)]
    assert len(arrived) > 50
    assert all(syn == ([LOW[4]], True) for syn in arrived)
    counted = program.counted(pair.b, "v1", "ingress")
    # While both hooks have the program, the second one sees what the first one clamped.
    assert counted.get("clamped") >= len(arrived) and set(counted) <= {"syn", "clamped", "already_low"}
    program.detach(pair.b, "v1")
    assert not program.has_clsact(pair.b, "v1")


def test_a_move_that_fails(pair):
    """Each system call of a change from native to generic is refused once. The limits are the old ones then; so is the
    mode, unless native was gone and generic there: it clamps in any case, and what is shown is so."""
    attach(pair, "native", "--mtu", 1400)
    failed = 0
    for number, result in refusals(pair, "attach", "v0", "--hook", "xdp", "--xdp-mode", "generic", "--mtu", "1300",
                                   error="ENOMEM"):
        entry = program.show(pair.a).get(("v0", "ingress"))
        assert entry and entry["hook"] == "xdp", (number, result)
        assert program.xdp(pair.a, "v0") == (entry["xdp_mode"], entry["program_id"]), (number, result)
        if result.status:
            failed += 1
            assert entry["mtu"] == 1400 or (entry["xdp_mode"], entry["mtu"]) == ("generic", 1300), (number, result)
            assert result.stderr.startswith("mssbpf: "), (number, result)
        else:
            assert (entry["xdp_mode"], entry["mtu"]) == ("generic", 1300), (number, result)
        attach(pair, "native", "--mtu", 1400)
    assert failed > 5
    assert connect(pair) == (1460, 1360)


def test_egress_is_beside(pair):
    """XDP on ingress and TC on egress of one interface; each is attached and detached as one of its entries."""
    attach(pair, "native", "--mtu", 1400)
    program.attach(pair.a, "v0", "--mtu", 1300)
    shown = program.show(pair.a)
    assert (shown["v0", "ingress"]["mtu"], shown["v0", "egress"]["mtu"]) == (1400, 1300)
    assert shown["v0", "ingress"]["hook"] == "xdp" and shown["v0", "egress"]["hook"] in ("tcx", "clsact")
    assert connect(pair) == (1260, 1360)
    program.attach(pair.a, "v0", "--mtu", 1290, "--direction", "both")  # stays where it is
    assert program.show(pair.a)["v0", "ingress"]["hook"] == "xdp"
    assert connect(pair) == (1250, 1250)
    program.attach(pair.a, "v0", "--mtu", 1290, "--direction", "both", "--hook", "tc")
    assert program.xdp(pair.a, "v0") is None
    assert connect(pair) == (1250, 1250)


@pytest.mark.parametrize("words,message", (
    (("--hook", "xdp", "--direction", "egress"), "only packets that arrive"),
    (("--hook", "xdp", "--direction", "both"), "only packets that arrive"),
    (("--xdp-mode", "native"), "--xdp-mode goes with --hook xdp"),
    (("--hook", "tc", "--xdp-mode", "generic"), "--xdp-mode goes with --hook xdp"),
    (("--hook", "xdp", "--xdp-mode", "offload"), "not one of native|generic"),
))
def test_usage(pair, words, message):
    program.refused(program.mssbpf("attach", "v0", *words, netns=pair.a), 2, message)
    assert program.xdp(pair.a, "v0") is None


def test_a_device_without_an_ethernet_header(pair):
    """XDP's packets begin with one."""
    net.ip("-n", pair.a, "tuntap", "add", "mode", "tun", "name", "t0")
    program.refused(program.mssbpf("attach", "t0", "--hook", "xdp", netns=pair.a), 1,
                    "^mssbpf: t0: .*Ethernet header.*--hook tc")
    assert program.xdp(pair.a, "t0") is None and program.pins(pair.a) == []


def test_mtu_auto(pair):
    """The limit follows the device's MTU here, too."""
    if not program.at_least(5, 12):
        pytest.skip("this kernel cannot tell the programs a device's MTU (5.12)")
    program.attach(pair.a, "v0", "--hook", "xdp", "--mtu", "auto")
    for mtu in (1400, 1300, 1500):
        net.ip("-n", pair.a, "link", "set", "v0", "mtu", str(mtu))
        net.ip("-n", pair.b, "link", "set", "v1", "mtu", "1500")
        assert connect(pair)[1] == min(mtu, 1500) - 40
    assert program.counted(pair.a, "v0", "ingress") == {"syn": 3, "clamped": 2, "already_low": 1}


@modes
def test_a_jumbo_port(pair, mode):
    """Frames larger than a page, as on ports with a large MTU, pass and reach the stack."""
    for end in ((pair.a, "v0"), (pair.b, "v1")):
        net.ip("-n", end[0], "link", "set", end[1], "mtu", "9000")
        net.offloads(*end, "on")
    attach(pair, mode, "--mtu", 8000)
    target = pair.addresses[4][1]
    with net.listener(pair.b, socket.AF_INET, target) as server, \
            net.connected(pair.a, socket.AF_INET, target, server.getsockname()[1]) as client:
        accepted, _ = server.accept()
        with accepted:
            exchange(accepted, client, 60000)
    assert program.counted(pair.a, "v0", "ingress") == {"syn": 1, "clamped": 1}


@modes
def test_an_interface_that_is_gone_or_made_again(pair, mode):
    link(pair.a, "x0", index=77)
    attach(pair, mode, device="x0")
    net.ip("-n", pair.a, "link", "delete", "x0")
    link(pair.a, "x0", index=77)
    assert program.show(pair.a) == {}
    assert program.pins(pair.a) == []
    attach(pair, mode, device="x0")
    net.ip("-n", pair.a, "link", "delete", "x0")
    link(pair.a, "x0", index=77)
    attach(pair, mode, device="x0")
    assert program.xdp(pair.a, "x0")[0] == mode
    assert program.counted(pair.a, "x0", "ingress") == {}


@modes
def test_an_interface_that_moved_away(pair, mode):
    """To another namespace: its link goes with the next command here."""
    link(pair.a, "x0", index=77)
    attach(pair, mode, device="x0")
    net.ip("-n", pair.a, "link", "set", "x0", "netns", pair.b)
    link(pair.a, "x0", "x1", index=77)
    assert program.show(pair.a) == {}
    assert program.pins(pair.a) == []
    assert program.xdp(pair.b, "x0") is None


@modes
def test_another_build_replaces_the_program(pair, tmp_path, mode):
    link(pair.a, "x0")
    attach(pair, mode, "--mtu", 1400)
    assert connect(pair) == (1460, 1360)
    old = program.xdp(pair.a, "v0")
    program.done(net.run(str(another_build(tmp_path)), "attach", "--netns", pair.a, "x0", "--mtu", "1300"))
    new = program.xdp(pair.a, "v0")
    assert new[0] == mode and new != old
    assert program.show(pair.a)["v0", "ingress"]["program_id"] == new[1]
    assert connect(pair) == (1460, 1360)
    assert program.counted(pair.a, "v0", "ingress") == {"syn": 2, "clamped": 2}


def test_killed_in_the_middle(pair):
    """A command that dies anywhere leaves a state that the next ones understand and remove."""
    rng = random.Random(2)
    choices = [("detach", "--all")] + [("attach", "v0", "--direction", "ingress", "--hook", words[0],
                                        *(("--xdp-mode", words[1]) if len(words) > 1 else ()))
                                       for name, words in HOOKS.items() if name != "tcx" or bpf.has_tcx()]
    for _ in range(60):
        verb, *options = rng.choice(choices)
        process = subprocess.Popen([program.MSSBPF, verb, "--netns", pair.a, *options], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        time.sleep(rng.random() * 0.03)
        process.kill()
        process.communicate(timeout=30)
    attach(pair, "native")
    assert len(program.show(pair.a)) == 1
    assert program.attached(pair.a, "v0", "ingress") == (0, 0)
    program.detach(pair.a, "--all")
    assert program.xdp(pair.a, "v0") is None
    assert not program.has_clsact(pair.a, "v0")
    assert program.pins(pair.a) == []


def test_a_namespace_that_is_gone(pair):
    """What was pinned for it is removed by a command elsewhere."""
    net.make_namespaces("mssbpf-e2e-gone")
    link("mssbpf-e2e-gone", "x0")
    program.attach("mssbpf-e2e-gone", "x0", "--hook", "xdp")
    folder = program.PINS / str(net.inode("mssbpf-e2e-gone"))
    net.delete_namespaces("mssbpf-e2e-gone")
    deadline = time.monotonic() + 5
    program.attach(pair.a, "v0")
    while folder.exists() and time.monotonic() < deadline:  # the namespace goes a little later
        program.show(pair.a)
    assert not folder.exists()


class XdpRouter:
    """Forwards in XDP between a (v0--v1) and c (w1--w0); the programs of devmap entries are mssbpf's."""

    name, far = "mssbpf-e2e-b", "mssbpf-e2e-c"

    def __init__(self, pair):
        self.pair = pair
        net.make_namespaces(self.far)
        net.ip("link", "add", "w1", "netns", self.name, "type", "veth", "peer", "name", "w0", "netns", self.far)
        # The router sends nothing of its own.
        net.must("ip", "netns", "exec", self.name, "sysctl", "-qw", "net.ipv6.conf.v1.disable_ipv6=1",
                 "net.ipv6.conf.w1.disable_ipv6=1")
        for namespace, device in ((self.name, "w1"), (self.far, "w0")):
            net.offloads(namespace, device, "off")
            net.ip("-n", namespace, "link", "set", device, "up")
        for family, mask in ((4, 24), (6, 64)):
            address = pair.addresses[family][1]
            if family == 4:
                net.ip("-n", self.name, "address", "del", f"{address}/{mask}", "dev", "v1")
            net.ip("-n", self.far, "address", "add", f"{address}/{mask}", "dev", "w0",
                   *(("nodad",) if family == 6 else ()))
        # The devmap programs count as egress of their devices.
        program.attach(self.name, "w1", "--mtu", 1400)
        program.attach(self.name, "v1", "--mtu", 1300)
        self.pin = program.PINS / str(net.inode(self.name)) / "mssbpf_xdp_egress"
        # veth gives redirected frames only to a peer that has NAPI: with a program of its own.
        self.ends = [bpf.Counter("end", bpf.XDP_PASS, bpf.BPF_PROG_TYPE_XDP) for _ in range(2)]
        self.ends[0].attach_xdp(pair.a, "v0")
        self.ends[1].attach_xdp(self.far, "w0")

    def remove(self):
        for end in self.ends:
            end.close()
        program.detach(self.name, "--all")
        net.delete_namespaces(self.far)


@pytest.fixture
def xdp_router(pair):
    made = XdpRouter(pair)
    yield made
    made.remove()


@pytest.mark.tcx
@pytest.mark.parametrize("clamping", (False, True), ids=("without", "with"))
@families
def test_a_router_that_forwards_in_xdp(pair, xdp_router, clamping, family):
    """TC and netfilter of the router see nothing of the packets; they are clamped as they leave."""
    router = xdp_router
    pin = router.pin if clamping else None
    forwarders = [bpf.Forwarder(router.name, "w1", pin), bpf.Forwarder(router.name, "v1", pin)]
    forwarders[0].attach_xdp(router.name, "v1")
    forwarders[1].attach_xdp(router.name, "w1")
    witnesses = [bpf.Counter("witness") for _ in range(4)]
    for witness, (device, direction) in zip(witnesses, ((device, direction) for device in ("v1", "w1")
                                                        for direction in ("ingress", "egress"))):
        witness.attach_tcx(router.name, device, direction)
    net.must("ip", "netns", "exec", router.name, "nft",
             "add table inet t; add chain inet t f { type filter hook prerouting priority -400; }; "
             "add rule inet t f meta l4proto tcp counter")
    target = pair.addresses[family][1]
    with net.listener(router.far, FAMILY[family], target) as server, \
            net.connected(pair.a, FAMILY[family], target, server.getsockname()[1]) as client:
        accepted, _ = server.accept()
        with accepted:
            low = (LOW[family], LOW[family] - 100) if clamping else (FULL[family], FULL[family])
            assert tuple(end.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) + 12
                         for end in (accepted, client)) == low
            exchange(accepted, client, 20000)
    assert [witness.packets for witness in witnesses] == [0] * 4
    assert "packets 0 bytes 0" in net.must("ip", "netns", "exec", router.name, "nft", "list", "table", "inet", "t")
    for device in ("v1", "w1"):
        assert program.counted(router.name, device) == ({"syn": 1, "clamped": 1} if clamping else {})
    for made in (*witnesses, *forwarders):
        made.close()
