# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Stacks of layers on the command line: `mssbpf mtu`, and `attach --underlay-mtu --encap`; what they refuse and how.

The arithmetic of every layer is proven by the unit tests; what real devices make of it, in test_detect.py.
"""
import json
import re

import pytest

import net
import program
from test_input import nothing_attached

# A stack that cannot be, and what the message has to say.
WRONG = (
    ("foo", r"unknown layer 'foo'.*--list"), ("wiregard", r"unknown layer 'wiregard'.*nearest is 'wireguard'"),
    ("ipv4/gre/vxlam", r"'vxlam'.*'vxlan'"), ("IPv4", r"'IPv4'.*'ipv4'"), ("ipv4 ", r"'ipv4 '"),
    ("/", "missing"), ("ipv4/", "missing"), ("/ipv4", "missing"), ("ipv4//gre", "missing"),
    ("wireguard", r"'wireguard' cannot stand on the link.*\bipv4\b.*\bipv6\b"),
    ("ipv4/pppoe", r"'pppoe' cannot stand in ipv4.*one of"), ("ipv4/encaplimit/gre", r"'encaplimit'.*ipv4.*ipv6"),
    ("ipv4/wireguard/gre", r"'gre' cannot stand in wireguard"), ("ipv4/natt/gre", r"'gre' cannot stand in natt"),
    ("ipv4/natt", r"'natt'.*esp"), ("ipv4/natt/ah:sha1-96", r"'ah'.*natt"),
    ("ipv4/esp", r"'esp'.*esp:CIPHER"), ("ipv4/esp:", r"unknown cipher ''"),
    ("ipv4/esp:aes", r"unknown cipher 'aes'.*aes-gcm-16"),
    ("ipv4/esp:aes-cbc-128", r"aes-cbc-128.*digest.*\+sha256-128.*\+none"),
    ("ipv4/esp:aes-cbc-128+sha3", r"unknown digest 'sha3'.*sha256-128"),
    ("ipv4/esp:aes-gcm-16+sha256-128", r"aes-gcm-16 .*takes no digest.*'esp:aes-gcm-16'"),
    ("ipv4/ah", r"'ah'.*ah:DIGEST"), ("ipv4/ah:md4", r"unknown digest 'md4'"),
    ("ipv4/gre:key:key", r"'key'.*twice"), ("ipv4/gre:keys", r"'keys'.*gre\[:csum\]\[:key\]\[:seq\]"),
    ("ipv4/gre:", r"''"), ("vlan:5", r"vlan takes nothing"), ("mpls:0/ipv4", r"'0'.*from 1 to 16"),
    ("mpls:x", r"'x'.*from 1 to 16"), ("ipv4/geneve:253", r"'253'.*0 to 252"), ("ipv6/srh", r"srh:SEGMENTS"),
    ("overhead", "overhead:BYTES"), ("overhead:0", r"'0'.*from 1 to 65535"), ("overhead:-1", r"'-1'"),
    ("overhead:14x20", r"'14x20'"), ("overhead:1400/overhead:1400", r"overhead:1400.*less than 68 bytes of 1500|100"),
    ("ipv4/" * 70 + "ipv4", r"characters; 159"), ("/".join(["vlan"] * 25), r"more than 24 layers"),
    ("x" * 100, r"a layer of 100 characters; 47"),
)


def rows(chosen):
    return pytest.mark.parametrize("stack,message", chosen, ids=[stack[:30] for stack, _ in chosen])


@rows(WRONG)
def test_stacks_that_cannot_be(clean, stack, message):
    result = net.run(program.MSSBPF, "mtu", "--encap", stack)
    program.refused(result, 2, message)
    assert result.stderr.startswith("mssbpf: mtu: --encap: ") and "--help" in result.stderr
    assert len(result.stderr.splitlines()) == 2


@rows(WRONG[::6])
def test_attach_to_stacks_that_cannot_be(pair, stack, message):
    result = program.mssbpf("attach", "v0", "--underlay-mtu", 1500, "--encap", stack, netns=pair.a)
    program.refused(result, 2, message)
    assert result.stderr.startswith("mssbpf: attach: --encap: ")
    nothing_attached(pair)


@pytest.mark.parametrize("words,message", (
    (("--encap", "ipv4"), "--underlay-mtu and --encap go together"),
    (("--underlay-mtu", 1500), "--underlay-mtu and --encap go together"),
    (("--mtu", 1400, "--underlay-mtu", 1500, "--encap", "ipv4"), "--mtu.*--encap.*not both"),
    (("--mtu", "auto", "--underlay-mtu", 1500, "--encap", "ipv4"), "--mtu.*--encap.*not both"),
    (("--mtu", 1400, "--encap", "ipv4"), "go together|not both"),
    (("--mtu", "Auto"), r"'Auto'.*576 to 65535.*auto"),
    (("--underlay-mtu", 600, "--encap", "ipv6"), r"leaves an MTU of 560; 576 is the least"),
    (("--underlay-mtu", 575, "--encap", "ipv4"), r"'575'.*576 to 65535"),
    (("--underlay-mtu", 65536, "--encap", "ipv4"), r"'65536'.*576 to 65535"),
    (("--underlay-mtu", "14x20", "--encap", "ipv4"), r"'14x20'.*576 to 65535"),
), ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "")
def test_words_that_contradict(pair, words, message):
    program.refused(program.mssbpf("attach", "v0", *words, netns=pair.a), 2, message)
    nothing_attached(pair)


@pytest.mark.parametrize("link,stack,mtu", (
    (1500, "ipv4/wireguard", 1440), (1500, "ipv6/wireguard", 1420), (1492, "pppoe/ipv6/wireguard", 1404),
    (1500, "ipv4/natt/esp:aes-cbc-128+none/ipv4", 1418), (1500, "ipv4/wireguard/overhead:60", 1380),
    (9000, "ipv4/vxlan", 8950), (65535, "ipv4/gre", 65511), (596, "ipv4", 576), (1500, "", 1500)))
def test_attach_to_a_stack(pair, link, stack, mtu):
    """The limits follow; `show` names the stack."""
    result = program.mssbpf("attach", "v0", "--underlay-mtu", link, "--encap", stack, netns=pair.a)
    assert (result.status, result.stdout) == (0, ""), result
    warnings = [f"v0: MTU {mtu} is larger than its own, 1500"] * (mtu > 1500) + ["IPv6 needs 1280"] * (mtu < 1280)
    assert len(result.stderr.splitlines()) == len(warnings) and all(text in result.stderr for text in warnings), result
    entry = program.show(pair.a)["v0", "egress"]
    assert (entry["mtu"], entry["mss4"], entry["mss6"], entry["live"]) == (mtu, mtu - 40, mtu - 60, False)
    assert entry["source"] == f"computed: {stack} on {link}" if stack else f"computed: {link}"
    assert program.mssbpf("show", netns=pair.a).stdout.splitlines()[1].endswith(entry["source"])


def test_attach_anew(pair):
    """What the limits come from is that of the last command."""
    for words, source in ((("--underlay-mtu", 1500, "--encap", "ipv4/wireguard"), "computed: ipv4/wireguard on 1500"),
                          (("--mtu", 1400), "given"), (("--mtu", "auto"), "device"), ((), "device")):
        program.attach(pair.a, "v0", *words)
        entry = program.show(pair.a)["v0", "egress"]
        assert (entry["source"], entry["live"]) == (source, words == ("--mtu", "auto") and program.at_least(5, 12))


@pytest.mark.parametrize("words,expected", (
    ((), {"link_mtu": 1500, "encap": "", "inner_mtu": 1500, "mss4": 1460, "mss6": 1440, "layers": []}),
    (("--link-mtu", "1492", "--encap", "ipv6/wireguard:padded"), {
        "link_mtu": 1492, "encap": "ipv6/wireguard:padded", "inner_mtu": 1408, "mss4": 1368, "mss6": 1348, "layers": [
            {"name": "ipv6", "kind": "layer", "bytes": 40, "padding": 0, "left": 1452},
            {"name": "wireguard:padded", "kind": "layer", "bytes": 44, "padding": 4, "left": 1408}]}),
    (("-m", "68"), {"link_mtu": 68, "encap": "", "inner_mtu": 68, "mss4": 28, "mss6": 8, "layers": []}),
), ids=("nothing", "padded", "least"))
def test_json(clean, words, expected):
    result = net.run(program.MSSBPF, "mtu", "--json", *words)
    assert (result.status, result.stderr, json.loads(result.stdout)) == (0, "", expected)


def test_text(clean):
    """A line for each layer, and what it means for TCP."""
    result = net.run(program.MSSBPF, "mtu", "-e", "pppoe/ipv4/natt/esp:aes-cbc-256+sha256-128")
    assert (result.status, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert [line.split() for line in lines[:-1]] == [
        ["LAYER", "BYTES", "PADDING", "LEFT"], ["link", "1500"], ["pppoe", "8", "0", "1492"],
        ["ipv4", "20", "0", "1472"], ["natt", "8", "0", "1464"], ["esp:aes-cbc-256+sha256-128", "42", "0", "1422"]]
    assert lines[-1] == "MTU 1422 inside: MSS 1382 over IPv4, 1362 over IPv6"


def test_text_of_a_small_mtu(clean):
    result = net.run(program.MSSBPF, "mtu", "-m", "1300", "-e", "ipv4/gre")
    assert re.search(r"^IPv6 needs an MTU of 1280 .*do not fit", result.stdout.splitlines()[-1]), result


def test_list(clean):
    """Everything that a stack may hold, in both forms; each of them is one that `mtu` knows."""
    result = net.run(program.MSSBPF, "mtu", "--list", "--json")
    assert (result.status, result.stderr) == (0, "")
    lists = json.loads(result.stdout)
    text = net.run(program.MSSBPF, "mtu", "-l").stdout
    names = {kind: {entry["name"] for entry in lists[kind]} for kind in ("layers", "ciphers", "digests")}
    assert {"pppoe", "ipv4", "ipv6", "wireguard", "vxlan", "geneve", "gre", "esp", "overhead"} <= names["layers"]
    assert {"aes-gcm-16", "chacha20-poly1305", "3des"} <= names["ciphers"] and "sha256-128" in names["digests"]
    for entry in lists["layers"]:
        assert entry["source"] and entry["usage"].startswith(entry["name"])
        assert re.search(rf"^{re.escape(entry['usage'])} +{entry['bytes']} ", text, re.MULTILINE), entry
    for entry in lists["ciphers"]:
        stack = f"ipv4/esp:{entry['name']}{'+none' if entry['digest'] else ''}"
        found = net.run(program.MSSBPF, "mtu", "--json", "-m", "9000", "-e", stack)
        room, align = 9000 - 20 - 8 - entry["bytes"], max(4, entry["block"])
        assert json.loads(found.stdout)["inner_mtu"] == room // align * align - 2, entry
        assert f"\n{entry['name']}{'+DIGEST' if entry['digest'] else ''} " in text
    for entry in lists["digests"]:
        found = net.run(program.MSSBPF, "mtu", "--json", "-m", "9000", "-e", f"ipv4/esp:null+{entry['name']}")
        assert json.loads(found.stdout)["inner_mtu"] == (9000 - 28 - entry["bytes"]) // 4 * 4 - 2, entry
        assert f"\n+{entry['name']} " in text


@pytest.mark.parametrize("words,message", (
    (("v0", "v1"), "one interface.*'v1'"), (("v0", "--encap", "ipv4"), "one of these"),
    (("v0", "--link-mtu", "1500"), "one of these"), (("v0", "--list"), "one of these"),
    (("--list", "--encap", "ipv4"), "one of these"), (("--link-mtu", "67"), r"'67'.*68 to 65535"),
    (("--link-mtu", "65536"), r"'65536'.*68 to 65535"), (("--link-mtu", ""), r"''.*68 to 65535"),
    (("--link-mtu", "auto"), r"'auto'.*68 to 65535"), (("--encap",), "--encap"), (("--mtu", "1400"), "--mtu")),
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "")
def test_wrong_usage(clean, words, message):
    program.refused(net.run(program.MSSBPF, "mtu", *words), 2, message)


def test_interface(pair):
    """Of an interface that stands on nothing, its own MTU."""
    result = program.done(program.mssbpf("mtu", "v0", netns=pair.a), stdout=program.mssbpf(
        "mtu", "v0", netns=pair.a).stdout)
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["v0"], ["LAYER", "BYTES", "PADDING", "LEFT"], ["v0", "1500"],
        "MTU 1500 inside: MSS 1460 over IPv4, 1440 over IPv6".split()]
    program.refused(program.mssbpf("mtu", "nonesuch", netns=pair.a), 1, "^mssbpf: nonesuch: no such interface\n$")


@pytest.mark.parametrize("words", (("-e", "ipv6/wireguard"), ("--list",), ("--help",)), ids=" ".join)
def test_without_privileges(clean, public_copy, words):
    result = net.run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", public_copy, "mtu", *words)
    assert (result.status, result.stderr) == (0, "") and result.stdout


@pytest.mark.parametrize("words", ((), ("--json",), ("--list",), ("--list", "--json")), ids=" ".join)
@pytest.mark.parametrize("stdout", (">/dev/full", ">&-"))
def test_stdout_that_takes_nothing(clean, words, stdout):
    result = net.run("sh", "-c", f'exec "$@" {stdout}', "sh", program.MSSBPF, "mtu", *words)
    assert result.status == 1 and re.search(r"^mssbpf: standard output: .+", result.stderr), result
