# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What `make install` puts where, and the completion that comes with it. Nothing is attached to real traffic here."""
import net
import program


def test_install_and_uninstall(clean, tmp_path):
    where = ("-C", str(program.ROOT), f"DESTDIR={tmp_path}", "PREFIX=/usr")
    net.must("make", *where, "install")
    files = {str(path.relative_to(tmp_path)): path.stat().st_mode & 0o777 for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {"usr/sbin/mssbpf": 0o755, "usr/share/man/man8/mssbpf.8": 0o644,
                     "usr/share/bash-completion/completions/mssbpf": 0o644,
                     "usr/lib/systemd/system/mssbpf-exporter.service": 0o644,
                     "usr/share/mssbpf/grafana-dashboard.json": 0o644}
    unit = (tmp_path / "usr/lib/systemd/system/mssbpf-exporter.service").read_text()
    assert "ExecStart=/usr/sbin/mssbpf exporter\n" in unit
    assert net.run(str(tmp_path / "usr/sbin/mssbpf"), "--version").status == 0
    net.must("make", *where, "uninstall")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def complete(pair, *words):
    """What bash offers for the last of the words, typed behind the program's name in host a."""
    script = (f'source "{program.ROOT}/loader/mssbpf.bash"; COMP_WORDS=(mssbpf "$@"); COMP_CWORD=$#; '
              f'_mssbpf "{program.MSSBPF}" "${{COMP_WORDS[COMP_CWORD]}}"; printf "%s\\n" "${{COMPREPLY[@]}}"')
    return set(net.must("nsenter", f"--net=/run/netns/{pair.a}", "bash", "-c", script, "bash", *words).split())


def test_completion(pair):
    program.attach(pair.a, "v0")
    net.ip("-n", pair.a, "link", "add", "x0", "type", "veth", "peer", "name", "x1")
    assert complete(pair, "") >= {"attach", "detach", "show", "stats"}
    assert complete(pair, "at") == {"attach"}
    assert complete(pair, "attach", "--mss") == {"--mss4", "--mss6"}
    assert complete(pair, "attach", "--direction", "") == {"egress", "ingress", "both"}
    assert complete(pair, "attach", "--hook", "t") == {"tc", "tcx"}
    assert complete(pair, "attach", "--mtu", "") == {"auto", "route", "none"}
    assert complete(pair, "monitor", "--result", "al") == {"already_low"}
    assert complete(pair, "attach", "--mss4", "") == set()
    assert complete(pair, "probe", "--interface", "") == {"v0", "x0", "x1"}
    assert {word for word in complete(pair, "attach", "") if word[0] != "-"} == {"v0", "x0", "x1"}
    assert {word for word in complete(pair, "detach", "") if word[0] != "-"} == {"v0"}
    assert {word for word in complete(pair, "stats", "v0", "") if word[0] != "-"} == {"v0"}
    assert {word for word in complete(pair, "rule", "") if word[0] != "-"} == {"add", "del", "list", "load", "flush"}
    assert {word for word in complete(pair, "rule", "add", "") if word[0] != "-"} == {"v0"}
    assert pair.a in complete(pair, "show", "--netns", "")


def test_every_option_is_in_the_manual(clean):
    """What --help shows, mssbpf(8) explains."""
    page = (program.ROOT / "loader/mssbpf.8").read_text()
    for verb in ("attach", "detach", "show", "rule", "stats", "exporter", "monitor", "verify", "mtu", "probe",
                 "doctor"):
        words = net.must(program.MSSBPF, verb, "--help").split()
        options = {word.strip(",").partition("[")[0] for word in words if word.startswith("--")}
        assert {"--help", "--netns", "--verbose"} < options
        for option in options:
            assert f"Fl {option[1:]}" in page, option
