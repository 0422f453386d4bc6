# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Tunnels of every kind between the two hosts of a Pair, and what becomes of one packet sent through them.

The hosts' link has an MTU of 1500. Knows nothing of mssbpf: what a row expects was reckoned by hand.
"""
import base64
import contextlib
import ctypes
import dataclasses
import errno
import fcntl
import functools
import os
import socket
import struct
import subprocess
import time

import net

DEVICE = "t0"
SIOCGIFMTU, SIOCGIFINDEX = 0x8921, 0x8933
MTU_DISCOVER = {4: (socket.IPPROTO_IP, 10), 6: (socket.IPPROTO_IPV6, 23)}  # IP_MTU_DISCOVER, IPV6_MTU_DISCOVER
PMTUDISC_PROBE = 3  # never fragment, heed no path MTU
HEADERS = {4: 28, 6: 48}  # IP and UDP
FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
INNER = {4: "10.9.0.", 6: "fd09::"}
UDP_ENCAP, UDP_ENCAP_ESPINUDP = 100, 2

# How to find out whether the kernel has what a row needs; ip(8) words, or a function below.
PROBES = {
    "dummy": "link add probe0 type dummy",
    "esp": "xfrm state add src 127.0.0.1 dst 127.0.0.2 proto esp spi 1 mode tunnel enc ecb(cipher_null) ''",
    "fou": "fou add port 9 ipproto 47",
    "geneve": "link add probe0 type geneve id 1 remote 192.0.2.2",
    "ipvlan": "link add link v0 name probe0 type ipvlan mode l2",
    "l2tp": "l2tp add tunnel tunnel_id 9 peer_tunnel_id 9 encap udp local 192.0.2.1 remote 192.0.2.2 "
            "udp_sport 9 udp_dport 9",
    "macsec": "link add link v0 probe0 type macsec",
    "macvlan": "link add link v0 name probe0 type macvlan",
    "sit": "link add probe0 type sit local 192.0.2.1 remote 192.0.2.2",
    "vlan": "link add link v0 name probe0 type vlan id 9",
    "vxlan": "link add probe0 type vxlan id 9 dstport 9",
    "xfrm": "link add probe0 type xfrm if_id 9",
}
PROBES_UNDO = {"fou": "fou del port 9", "l2tp": "l2tp del tunnel tunnel_id 9", "esp": "xfrm state flush"}


class End:
    """One of the two hosts; `words` are what differs between them."""

    def __init__(self, pair, number):
        self.namespace, self.underlay = ((pair.a, "v0"), (pair.b, "v1"))[number]
        self.number = number + 1
        self.words = {"under": self.underlay, "n": number + 1, "m": 2 - number, "side": "ab"[number],
                      "out": ("0x1001", "0x1002")[number], "in": ("0x1002", "0x1001")[number]}
        for family in (4, 6):
            self.words[f"l{family}"] = pair.addresses[family][number]
            self.words[f"r{family}"] = pair.addresses[family][1 - number]
        self.words["rmac"] = net.mac((pair.a, pair.b)[1 - number], ("v0", "v1")[1 - number]).hex(":")
        self.undoing = []

    def ip(self, *lines):
        """Runs ip(8) once with several command lines."""
        net.ip_lines(*(line.format(**self.words) for line in lines), netns=self.namespace)

    def undo(self):
        """Removes what is there of a row. Without a kernel's module, ip(8) gives up: what takes one comes last."""
        lines = (f"link del {DEVICE}", *self.undoing, "xfrm policy flush", "xfrm state flush")
        self.undoing.clear()
        net.run("ip", "-n", self.namespace, "-force", "-batch", "-", stdin="\n".join(lines) + "\n", timeout=60)

    def run(self, *words):
        return net.must("ip", "netns", "exec", self.namespace, *(word.format(**self.words) for word in words))

    def up(self, device=DEVICE):
        """Brings a device up, with an address of either family inside."""
        self.ip(f"link set {device} up", f"address add {INNER[4]}{self.number}/24 dev {device}",
                f"address add {INNER[6]}{self.number}/64 dev {device} nodad")

    def mtu(self, device=DEVICE):
        with net.entered(self.namespace), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as query:
            return struct.unpack("16si", fcntl.ioctl(query, SIOCGIFMTU, struct.pack("16si", device.encode(), 0)))[1]

    def mtu_set(self, mtu, device=DEVICE):
        """Changes a device's MTU; returns whether the kernel allows that."""
        return net.run("ip", "-n", self.namespace, "link", "set", device, "mtu", str(mtu)).status == 0


@functools.lru_cache(maxsize=None)
def _probe(namespace, need):
    if need == "pppoe":
        try:
            socket.socket(socket.AF_PPPOX, socket.SOCK_STREAM, 0).close()
            return os.path.exists("/dev/ppp")
        except OSError:
            return False
    if need == "fou":  # not loaded by itself
        with open("/proc/sys/kernel/modprobe", encoding="ascii") as path, contextlib.suppress(OSError):
            net.run(path.read().strip(), "-q", "-a", "fou", "fou6")
    words = PROBES.get(need, f"link add probe0 type {need} local 192.0.2.1 remote 192.0.2.2" if "6" not in need else
                       f"link add probe0 type {need} local 2001:db8::1 remote 2001:db8::2")
    found = net.run("ip", "-n", namespace, "-batch", "-", stdin=words + "\n").status == 0
    if found:
        net.must("ip", "-n", namespace, *PROBES_UNDO.get(need, "link del probe0").split())
    return found


def missing(namespace, needs):
    """The first of the needs that this kernel has not, or None."""
    return next((need for need in needs if not _probe(namespace, need)), None)


@dataclasses.dataclass(frozen=True)
class Row:
    """A kind of tunnel. `fits` is the largest packet inside, over a link of 1500."""

    name: str
    needs: tuple  # what the kernel has to have: kinds of devices, "esp", "fou"
    lines: tuple  # what makes one end, for ip(8)
    encap: str
    fits: int
    kernel: int = 0  # the MTU that the kernel gives the device, 0: just what fits
    inner: tuple = (4, 6)
    remote: str = ""  # the key in End.words
    commands: tuple = ()  # what else to run
    undo: tuple = ()  # lines for ip(8), besides removing the device
    context: object = contextlib.nullcontext  # what is to be there meanwhile, given the ends


@contextlib.contextmanager
def espinudp(ends):
    """Sockets that take ESP out of UDP, as a key daemon has."""
    with contextlib.ExitStack() as stack:
        for end in ends:
            for family in (4, 6):
                with net.entered(end.namespace):
                    taker = stack.enter_context(socket.socket(FAMILY[family], socket.SOCK_DGRAM))
                taker.bind((end.words[f"l{family}"], 4500))
                taker.setsockopt(socket.IPPROTO_UDP, UDP_ENCAP, UDP_ENCAP_ESPINUDP)
        yield


AES, SHA256 = "0x" + "11" * 16, "auth-trunc hmac(sha256) 0x" + "22" * 32 + " 128"
CIPHERS = {
    "aes-gcm-16": f"aead rfc4106(gcm(aes)) {AES}33333333 128",
    "aes-gcm-8": f"aead rfc4106(gcm(aes)) {AES}33333333 64",
    "aes-ccm-12": f"aead rfc4309(ccm(aes)) {AES}333333 96",
    "chacha20-poly1305": f"aead rfc7539esp(chacha20,poly1305) {AES}{'11' * 16}33333333 128",
    "null-gmac": f"aead rfc4543(gcm(aes)) {AES}33333333 128",
    "aes-cbc-256+sha256-128": f"enc cbc(aes) {AES}{'11' * 16} {SHA256}",
    "aes-cbc-128+sha1-96": f"enc cbc(aes) {AES} auth hmac(sha1) 0x{'22' * 20}",
    "aes-cbc-128+none": f"enc cbc(aes) {AES}",
    "aes-ctr+sha512-256": f"enc rfc3686(ctr(aes)) {AES}33333333 auth-trunc hmac(sha512) 0x{'22' * 64} 256",
    "3des+sha384-192": f"enc cbc(des3_ede) 0x{'1122334455667788' * 3} auth-trunc hmac(sha384) 0x{'22' * 48} 192",
    "unknown": f"enc cbc(aes) {AES} auth-trunc hmac(sha256) 0x{'22' * 32} 64",
    "null+sha256-128": f"enc ecb(cipher_null) '' {SHA256}",
}


def ipsec(cipher, family, mode="tunnel", states="", policies="", selectors=("src 0.0.0.0/0 dst 0.0.0.0/0", "src ::/0 "
                                                                            "dst ::/0")):
    """A state and policies for either direction; `states` and `policies` are words to add to each."""
    for way, spi, source, destination in (("out", "{out}", "l", "r"), ("in", "{in}", "r", "l")):
        ends = f"src {{{source}{family}}} dst {{{destination}{family}}}"
        yield (f"xfrm state add {ends} proto esp spi {spi} reqid 1 mode {mode} replay-window 32 {states} "
               f"{'flag af-unspec' if mode == 'tunnel' else ''} {CIPHERS[cipher]}")
        for selector in selectors:
            selector = selector.replace("LOCAL", ends.split()[1]).replace("REMOTE", ends.split()[3])
            yield (f"xfrm policy add {selector} dir {way} {policies} tmpl {ends if mode == 'tunnel' else ''} "
                   f"proto esp reqid 1 mode {mode}")


def _xfrm(cipher, fits, family=4, natt=False):
    """An xfrm interface: the kernel leaves its MTU at 1500."""
    encap = "encap espinudp 4500 4500 0.0.0.0 " if natt else ""
    return Row(f"xfrm-{'natt-' if natt else ''}{cipher}-over-ipv{family}", ("xfrm", "esp"),
               (f"link add {DEVICE} type xfrm dev {{under}} if_id 7",
                *ipsec(cipher, family, states=encap + "if_id 7", policies="if_id 7")),
               f"ipv{family}/{'natt/' if natt else ''}esp:{cipher}", fits, kernel=1500, remote=f"r{family}",
               context=espinudp if natt else contextlib.nullcontext)


def _vti(kind, cipher, fits, kernel, family):
    return Row(f"{kind}-{cipher}", (kind, "esp"),
               (f"link add {DEVICE} type {kind} local {{l{family}}} remote {{r{family}}} key 7",
                *ipsec(cipher, family, policies="mark 7 mask 0xffffffff")),
               f"ipv{family}/esp:{cipher}", fits, kernel=kernel, remote=f"r{family}")


def _in_ipsec(kind, words, cipher, family, protocol, encap, fits, kernel):
    """A tunnel whose own packets go through IPsec in transport mode."""
    return Row(f"{kind}-in-{cipher}-over-ipv{family}", (kind, "esp"),
               (f"link add {DEVICE} type {kind} local {{l{family}}} remote {{r{family}}} {words}",
                *ipsec(cipher, family, "transport", selectors=(f"src LOCAL dst REMOTE proto {protocol}",))),
               encap, fits, kernel=kernel, remote=f"r{family}")


def _simple(name, kind, words, encap, fits, family=4, before=(), needs=(), **more):
    """A device with a local and a remote address."""
    return Row(name, (kind, *needs),
               (*before, f"link add {DEVICE} type {kind} local {{l{family}}} remote {{r{family}}} {words}"),
               encap, fits, remote=f"r{family}", **more)


def _l2tp(name, words, session, encap, fits, family=4):
    """The hosts' tunnel ids are 1, their session ids too; cookies are the same both ways."""
    return Row(name, ("l2tp",),
               (f"l2tp add tunnel tunnel_id 1 peer_tunnel_id 1 {words} local {{l{family}}} remote {{r{family}}}",
                f"l2tp add session name {DEVICE} tunnel_id 1 session_id 1 peer_session_id 1 {session}"),
               encap, fits, remote=f"r{family}", undo=("l2tp del tunnel tunnel_id 1",))


def _stacked(kind, words, encap="", fits=1500, more=(), name=None):
    return Row(name or kind, (kind,), (f"link add link {{under}} name {DEVICE} type {kind} {words}", *more), encap, fits)


MACSEC = (f"macsec add {DEVICE} tx sa 0 pn 1 on key 0{{n}} {'44' * 16}",
          f"macsec add {DEVICE} rx port 1 address {{rmac}}",
          f"macsec add {DEVICE} rx port 1 address {{rmac}} sa 0 pn 1 on key 0{{m}} {'44' * 16}")
FOU_UNDO = ("fou del port 5555",)
FOU_GRE = {"before": ("fou add port 5555 ipproto 47",), "undo": FOU_UNDO, "needs": ("fou",)}
GUE = {"before": ("fou add port 5555 gue",), "undo": FOU_UNDO, "needs": ("fou",)}
FOU = "encap {} encap-sport auto encap-dport 5555"
NO_LIMIT = "encaplimit none"
ROWS = (
    _simple("vxlan-over-ipv4", "vxlan", "id 1 dstport 4789", "ipv4/vxlan", 1450, kernel=1500),
    _simple("vxlan-over-ipv4-bound", "vxlan", "id 1 dstport 4789 dev {under}", "ipv4/vxlan", 1450),
    _simple("vxlan-over-ipv6", "vxlan", "id 1 dstport 4789", "ipv6/vxlan", 1430, 6, kernel=1500),
    _simple("vxlan-over-ipv6-bound", "vxlan", "id 1 dstport 4789 dev {under}", "ipv6/vxlan", 1430, 6),
    Row("vxlan-by-fdb", ("vxlan",), (f"link add {DEVICE} type vxlan id 1 dstport 4789 local {{l4}}",), "ipv4/vxlan",
        1450, kernel=1500, remote="r4",
        commands=(("bridge", "fdb", "append", "00:00:00:00:00:00", "dev", DEVICE, "dst", "{r4}"),)),
    Row("vxlan-multicast", ("vxlan",),
        (f"link add {DEVICE} type vxlan id 1 dstport 4789 group 239.1.1.1 dev {{under}} nolearning",),
        "ipv4/vxlan", 1450),
    Row("vxlan-multicast-ipv6", ("vxlan",),
        (f"link add {DEVICE} type vxlan id 1 dstport 4789 group ff0e::1 dev {{under}} nolearning",),
        "ipv6/vxlan", 1430),
    Row("geneve-over-ipv4", ("geneve",), (f"link add {DEVICE} type geneve id 1 remote {{r4}}",), "ipv4/geneve", 1450,
        remote="r4"),
    Row("geneve-over-ipv6", ("geneve",), (f"link add {DEVICE} type geneve id 1 remote {{r6}}",), "ipv6/geneve", 1430,
        remote="r6"),
    Row("geneve-without-ethernet", ("geneve",),
        (f"link add {DEVICE} type geneve id 1 remote {{r4}} innerprotoinherit",), "ipv4/udp/overhead:8", 1464,
        kernel=1450, remote="r4"),
    _simple("gre", "gre", "", "ipv4/gre", 1476),
    _simple("gre-bound", "gre", "dev {under}", "ipv4/gre", 1476),
    _simple("gre-key", "gre", "key 1", "ipv4/gre:key", 1472),
    _simple("gre-all-flags", "gre", "key 1 csum seq", "ipv4/gre:csum:key:seq", 1464),
    _simple("gre-in-fou", "gre", FOU.format("fou"), "ipv4/udp/gre", 1468, **FOU_GRE),
    _simple("gre-in-gue", "gre", FOU.format("gue"), "ipv4/gue/gre", 1464, **GUE),
    _simple("gretap", "gretap", "", "ipv4/gretap", 1462),
    _simple("gretap-key", "gretap", "key 1", "ipv4/gretap:key", 1458),
    _simple("ip6gre", "ip6gre", "", "ipv6/encaplimit/gre", 1448, 6),
    _simple("ip6gre-no-limit", "ip6gre", NO_LIMIT, "ipv6/gre", 1456, 6),
    _simple("ip6gre-key-csum", "ip6gre", "key 1 csum", "ipv6/encaplimit/gre:csum:key", 1440, 6),
    _simple("ip6gretap", "ip6gretap", "", "ipv6/encaplimit/gretap", 1434, 6),
    _simple("ip6gretap-no-limit", "ip6gretap", NO_LIMIT, "ipv6/gretap", 1442, 6),
    _simple("ipip", "ipip", "", "ipv4", 1480, inner=(4,)),
    _simple("ipip-in-fou", "ipip", FOU.format("fou"), "ipv4/udp", 1472, inner=(4,),
            before=("fou add port 5555 ipproto 4",), undo=FOU_UNDO, needs=("fou",)),
    _simple("sit", "sit", "", "ipv4", 1480, inner=(6,)),
    _simple("sit-in-gue", "sit", FOU.format("gue"), "ipv4/gue", 1468, inner=(6,), **GUE),
    _simple("sit-in-gue-remcsum", "sit", FOU.format("gue") + " encap-remcsum", "ipv4/gue/overhead:8", 1460, inner=(6,),
            **GUE),
    _simple("ip6tnl", "ip6tnl", "mode any", "ipv6/encaplimit", 1452, 6),
    _simple("ip6tnl-no-limit", "ip6tnl", "mode any " + NO_LIMIT, "ipv6", 1460, 6),
    _simple("ip6tnl-in-fou", "ip6tnl", "mode ipip6 " + NO_LIMIT + " " + FOU.format("fou"), "ipv6/udp", 1452, 6,
            inner=(4,), before=("fou add port 5555 ipproto 4 -6",), undo=("fou del port 5555 -6",), needs=("fou",)),
    _vti("vti", "aes-gcm-16", 1446, 1480, 4),
    _vti("vti6", "aes-cbc-256+sha256-128", 1406, 1460, 6),
    _xfrm("aes-gcm-16", 1446),
    _xfrm("aes-gcm-16", 1426, 6),
    _xfrm("aes-gcm-8", 1454),
    _xfrm("aes-ccm-12", 1450),
    _xfrm("chacha20-poly1305", 1446),
    _xfrm("null-gmac", 1446),
    _xfrm("aes-cbc-256+sha256-128", 1438),
    _xfrm("aes-cbc-256+sha256-128", 1406, 6),
    _xfrm("aes-cbc-128+none", 1454),
    _xfrm("aes-ctr+sha512-256", 1430),
    _xfrm("3des+sha384-192", 1438),
    _xfrm("null+sha256-128", 1454),
    _xfrm("aes-gcm-16", 1438, natt=True),
    _xfrm("aes-gcm-16", 1418, 6, natt=True),
    _xfrm("aes-cbc-128+sha1-96", 1422, natt=True),
    _in_ipsec("gre", "", "aes-gcm-16", 4, 47, "ipv4/esp:aes-gcm-16/gre", 1442, 1476),
    _in_ipsec("ip6gre", NO_LIMIT, "aes-cbc-256+sha256-128", 6, 47, "ipv6/esp:aes-cbc-256+sha256-128/gre", 1402, 1456),
    _in_ipsec("vxlan", "id 1 dstport 4789", "aes-gcm-16", 4, 17, "ipv4/esp:aes-gcm-16/vxlan", 1416, 1500),
    _l2tp("l2tp-udp", "encap udp udp_sport 1701 udp_dport 1701", "", "ipv4/l2tpv3:udp:sublayer", 1446),
    _l2tp("l2tp-udp-cookie", "encap udp udp_sport 1701 udp_dport 1701",
          "cookie 0102030405060708 peer_cookie 0102030405060708", "ipv4/l2tpv3:udp:sublayer:8", 1438),
    _l2tp("l2tp-ip", "encap ip", "", "ipv4/l2tpv3:sublayer", 1458),
    _l2tp("l2tp-ipv6-cookie", "encap ip", "cookie 01020304 peer_cookie 01020304", "ipv6/l2tpv3:sublayer:4", 1434, 6),
    _stacked("macsec", "encrypt on", "macsec", 1468, MACSEC),
    _stacked("macsec", "encrypt on icvlen 8", "overhead:24", 1476, MACSEC, "macsec-short-icv"),
    _stacked("vlan", "id 5"), _stacked("macvlan", "mode bridge"), _stacked("ipvlan", "mode l2"),
)


class Crossing:
    """What became of one packet of `size` bytes: UDP with DF, sent from one end to the other."""

    def __init__(self):
        self.refused = self.fragments = False
        self.arrived = 0  # bytes of the packet, 0: it did not
        self.outer = []  # bytes of the large packets that passed the link, without Ethernet header and tags

    def in_one(self, link_mtu):
        return bool(self.arrived) and not self.fragments and len(self.outer) == 1 and self.outer[0] <= link_mtu

    def __repr__(self):
        return f"refused {self.refused}, arrived {self.arrived}, outer {self.outer}, fragments {self.fragments}"


def _outer(frame):
    """Length of the packet in a frame of the link, and whether it is a fragment.

    The frame's length counts: who takes a packet out of FOU at the far end changes the header's, here as well.
    """
    kind, packet = struct.unpack("!H", frame.data[12:14])[0], frame.data[14:]
    while kind in (0x8100, 0x88A8):
        kind, packet = struct.unpack("!H", packet[2:4])[0], packet[4:]
    length = len(packet)
    if kind == 0x8864:  # PPPoE
        kind, packet = {0x0021: 0x0800, 0x0057: 0x86DD}.get(struct.unpack("!H", packet[6:8])[0]), packet[8:]
    if kind == 0x0800:
        return length, bool(struct.unpack("!H", packet[6:8])[0] & 0x3FFF)
    if kind == 0x86DD:
        following, offset = packet[6], 40
        while following in (0, 43, 60):
            following, offset = packet[offset], offset + 8 * (packet[offset + 1] + 1)
        return length, following == 44
    return length, False


class Flow:
    """UDP through a tunnel from its first end to its second; packets are counted on the link below."""

    def __init__(self, ends, family):
        self.ends, self.family = ends, family
        with net.entered(ends[1].namespace):
            self.receiver = socket.socket(FAMILY[family], socket.SOCK_DGRAM)
        with net.entered(ends[0].namespace):
            self.sender = socket.socket(FAMILY[family], socket.SOCK_DGRAM)
        self.receiver.bind((f"{INNER[family]}{ends[1].number}", 7000))
        self.sender.setsockopt(*MTU_DISCOVER[family], PMTUDISC_PROBE)
        self.sender.connect(self.receiver.getsockname())

    def __enter__(self):
        """Waits until a small packet crosses: neighbours are resolved, keys exchanged."""
        deadline = time.monotonic() + 20
        self.receiver.settimeout(0.2)
        while True:
            try:
                self.sender.send(b"begin")
                self.receiver.recv(2000)
                return self
            except (socket.timeout, ConnectionRefusedError):
                if time.monotonic() > deadline:
                    self.__exit__()
                    raise RuntimeError("nothing crosses the tunnel") from None

    def __exit__(self, *_):
        self.sender.close()
        self.receiver.close()

    def _try(self, data):
        """Sends data; returns False when it is too long, or by ICMP what was sent before."""
        try:
            self.sender.send(data)
            return True
        except OSError as error:
            if error.errno != errno.EMSGSIZE:
                raise
            return False

    def send(self, size):
        """Sends a packet of `size` bytes and a small one behind it; when that is there, the other was or never will."""
        crossing = Crossing()
        with net.Capture(self.ends[0].namespace, self.ends[0].underlay) as link:
            crossing.refused = not self._try(bytes(size - HEADERS[self.family]))
            while not self._try(b"end %d" % size):
                crossing.refused = True
            self.receiver.settimeout(10)
            while (data := self.receiver.recv(1 << 16)) != b"end %d" % size:
                if not data.strip(b"\0"):
                    crossing.arrived = len(data) + HEADERS[self.family]
            for frame in (frame for frame in link.waiting() if frame.outgoing):
                length, fragment = _outer(frame)
                crossing.fragments |= fragment
                if length > 1000:
                    crossing.outer.append(length)
        return crossing


ACCEPTS = "00010000"  # the flags in /proc/net/unix of a socket that listens


class Wireguard:
    """A WireGuard device: the kernel's, or where it has none, wireguard-go's. Its configuration socket is in a
    folder that all namespaces share: hence the device's name."""

    def __init__(self, end):
        self.end, self.process, self.device = end, None, f"mssbpf-wg-{end.words['side']}"
        if net.run("ip", "-n", end.namespace, "link", "add", self.device, "type", "wireguard").status == 0:
            return
        self.process = subprocess.Popen(
            ("ip", "netns", "exec", end.namespace, "wireguard-go", "-f", self.device), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "LOG_LEVEL": "silent"})
        for _ in range(100):
            if self._listens():
                return
            time.sleep(0.05)
        self.remove()
        raise RuntimeError("wireguard-go did not start")

    def _listens(self):
        """Not by asking it: wg(8) removes the socket of a program that has not come to listen(2) yet."""
        with open(f"/proc/{self.process.pid}/net/unix", encoding="ascii") as sockets:
            return any(line.split()[3] == ACCEPTS and f"/{self.device}.sock" in line for line in sockets)

    def configure(self, *peers, interface=""):
        """Peers are the lines of their sections, or (public key, lines)."""
        text = f"[Interface]\nPrivateKey={keys()[self.end.number - 1][0]}\nListenPort=51820\n{interface}\n"
        for number, peer in enumerate(peers):
            key, lines = peer if isinstance(peer, tuple) else (any_key(number), peer)
            text += f"[Peer]\nPublicKey={key}\n{lines}\n"
        net.must("ip", "netns", "exec", self.end.namespace, "wg", "setconf", self.device, "/proc/self/fd/0",
                 stdin=text.format(**self.end.words), timeout=60)

    def connect(self, address):
        """The other end is the only peer, at this address."""
        self.configure((keys()[2 - self.end.number][1], f"Endpoint={address}:51820\nAllowedIPs=0.0.0.0/0,::/0"))

    def remove(self):
        if self.process:
            self.process.terminate()
            self.process.wait(10)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"/var/run/wireguard/{self.device}.sock")
        else:
            net.run("ip", "-n", self.end.namespace, "link", "del", self.device)


@functools.lru_cache(maxsize=None)
def keys():
    """Two pairs of a private and a public key."""
    private = [net.must("wg", "genkey") for _ in range(2)]
    return [(key.strip(), net.must("wg", "pubkey", stdin=key).strip()) for key in private]


def any_key(number):
    """The public key of nobody."""
    return base64.b64encode(struct.pack("!I", number + 1) * 8).decode()


class Pppoe:
    """One end of a PPP session over Ethernet, without the daemon: session 1, nothing negotiated."""

    ATTACH_CHANNEL, NEW_UNIT, CONNECT, GET_CHANNEL = 0x40047438, 0xC004743E, 0x4004743A, 0x80047437
    _libc = ctypes.CDLL(None, use_errno=True)

    def __init__(self, end, device, peer_mac):
        with net.entered(end.namespace):
            self.session = socket.socket(socket.AF_PPPOX, socket.SOCK_STREAM, 0)
            self.channel, self.unit = (os.open("/dev/ppp", os.O_RDWR) for _ in range(2))
            address = struct.pack("=HIH6s16s", socket.AF_PPPOX, 0, socket.htons(1), peer_mac, device.encode())
            if self._libc.connect(self.session.fileno(), address, len(address)) != 0:
                raise OSError(ctypes.get_errno(), "PPPoE")
            number = fcntl.ioctl(self.session, self.GET_CHANNEL, struct.pack("i", 0))
            fcntl.ioctl(self.channel, self.ATTACH_CHANNEL, number)
            unit = fcntl.ioctl(self.unit, self.NEW_UNIT, struct.pack("i", -1))
            fcntl.ioctl(self.channel, self.CONNECT, unit)
        self.device = f"ppp{struct.unpack('i', unit)[0]}"

    def remove(self):
        for descriptor in (self.channel, self.unit):
            os.close(descriptor)
        self.session.close()
