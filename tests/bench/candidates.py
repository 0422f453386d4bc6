# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Who clamps, or does nothing in the same place: a table. Measures nothing: that is forward.py."""
import contextlib
import shlex

import bpf
import net
import program
import router
from router import IN, MTU, OUT

PIN = "/sys/fs/bpf/mssbpf-bench-empty"  # during set-up


class Candidate:
    def __init__(self, name, *setup, teardown=(), empty=None, clamps=True, baseline=None):
        """setup: commands to run in the router's namespace; teardown: before it goes, when something of theirs outlives
        it; empty: where a program that does nothing is attached; clamps: SYNs leave with the limit; baseline: name of
        the candidate that does nothing in the same place."""
        self.name, self.setup, self.teardown, self.empty, self.clamps = name, setup, teardown, empty, clamps
        self.baseline = baseline

    @contextlib.contextmanager
    def router(self, number):
        """A router of this number with the candidate at work. What cannot be set up raises RuntimeError."""
        with contextlib.ExitStack() as stack:
            lab = stack.enter_context(router.Router(number))
            for command in self.teardown:
                stack.callback(_run, lab.router, command)
            if self.empty:
                stack.enter_context(contextlib.closing(_attach_empty(lab.router, self.empty)))
            for command in self.setup:
                _run(lab.router, command)
            yield lab


def _run(namespace, command):
    # Not ip netns exec: that hides /sys/fs/bpf.
    net.must("nsenter", f"--net=/run/netns/{namespace}", *shlex.split(command))


def _attach_empty(namespace, where):
    if where == "xdp":
        empty = bpf.Program("empty", bpf.RETURN_PASS, bpf.BPF_PROG_TYPE_XDP)
        empty.attach_xdp(namespace, IN)
        return empty
    empty = bpf.Program("empty", bpf.RETURN_NEXT)
    if where == "tcx":
        empty.attach_tcx(namespace, OUT, "egress")
    else:
        net.must("tc", "-n", namespace, "qdisc", "add", "dev", OUT, "clsact")
        empty.attach_filter(namespace, OUT, "egress", PIN)
    return empty


def _empty(hook):
    return Candidate(f"empty program, {hook}", empty=hook.lower(), clamps=False)


def _mssbpf(device, hook, rules=0):
    """rules: so many prefixes have a limit of their own, the receiver of all packets among them."""
    name, commands = f"mssbpf, {hook}", [f"{program.MSSBPF} attach {device} --hook {hook.lower()} --mtu {MTU}"]
    if rules:
        name += f", {rules:,} rules"
        prefixes = [f"{router.NETWORK[family].format(1, 0)}/{router.PREFIX[family]}" for family in (4, 6)]
        prefixes += [f"172.{16 + number // 256}.{number % 256}.0/24" for number in range(rules - len(prefixes))]
        commands.append(f"{program.MSSBPF} rule add {device} {' '.join(prefixes)} --mtu {MTU}")
    return Candidate(name, *commands, teardown=(f"{program.MSSBPF} detach {device}",), baseline=f"empty program, {hook}")


def _nftables(name, hook, rules):
    """rules: by family of the table, each with a chain of its own there."""
    return Candidate(name, *(f"nft 'table {family} bench {{ chain bench {{ type filter {hook}; {rule}; }}; }}'"
                             for family, rule in rules.items()))


def _iptables(name, action, variant="legacy", table="filter", others=0):
    """A rule of iptables and one of ip6tables; others: so many rules that do not match stand before."""
    commands = []
    for tool, limit in (("iptables", MSS4), ("ip6tables", MSS6)):
        append = f"{tool}-{variant} -t {table} -A FORWARD"
        commands += [f"{append} -p udp --dport {1000 + number} -j ACCEPT" for number in range(others)]
        commands.append(f"{append} -o {OUT} -p tcp --tcp-flags SYN,RST SYN -j TCPMSS {action.format(limit)}")
    return Candidate(name, *commands)


MSS4, MSS6 = (MTU - router.HEADERS[family] for family in (4, 6))
FORWARD, EGRESS = "hook forward priority mangle", f"hook egress device {OUT} priority 0"
SYN, SET = "tcp flags & (syn | rst) == syn", "tcp option maxseg size set"

NOTHING = Candidate("nothing attached", clamps=False)
NFTABLES = _nftables("nftables, forward, maxseg size set N", FORWARD,
                     {"ip": f"oifname {OUT} {SYN} {SET} {MSS4}", "ip6": f"oifname {OUT} {SYN} {SET} {MSS6}"})
CANDIDATES = (
    NOTHING,
    _empty("TCX"),
    _empty("clsact"),
    _empty("XDP"),
    _mssbpf(OUT, "TCX"),
    _mssbpf(OUT, "clsact"),
    _mssbpf(IN, "XDP"),
    _mssbpf(OUT, "TCX", rules=1000),
    NFTABLES,
    _nftables("nftables, forward, maxseg size set rt mtu", FORWARD, {"inet": f"oifname {OUT} {SYN} {SET} rt mtu"}),
    _nftables("nftables, netdev egress, maxseg size set N", EGRESS,
              {"netdev": f"meta protocol ip {SYN} {SET} {MSS4}; meta protocol ip6 {SYN} {SET} {MSS6}"}),
    _iptables("iptables, TCPMSS --set-mss N", "--set-mss {}"),
    _iptables("iptables, TCPMSS --clamp-mss-to-pmtu", "--clamp-mss-to-pmtu"),
    _iptables("iptables -t mangle, --set-mss N", "--set-mss {}", table="mangle"),
    _iptables("iptables, --set-mss N behind 20 rules", "--set-mss {}", others=20),
    _iptables("iptables-nft, --set-mss N", "--set-mss {}", variant="nft"),
)


def by_name(name):
    return next(candidate for candidate in CANDIDATES if candidate.name == name)
