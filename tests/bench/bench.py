#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""All that a packet costs, measured in one run: within the programs (bench_prog), forwarded by a router (forward.py), and
that in instructions (icount.py). Prints everything, and writes build/bench.json, and tables and a plot for README:
build/bench.md, build/bench.svg. As root.
"""
import argparse
import json
import os
import pathlib
import platform
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

import candidates  # noqa: E402
import plot  # noqa: E402
import router  # noqa: E402
import table  # noqa: E402

BUILD = ROOT / "build"
NO_SYN, LOW, CLAMPED = (router.KINDS[number].name for number in (0, 3, 4))
COLOURS = (("mssbpf", "#1b6ca8"), ("empty", "#9aa5ad"), ("nftables", "#c0504d"), ("iptables", "#d99a3d"))


def run(*command):
    """What a part of the benchmark prints, which takes a while."""
    print(f"{pathlib.Path(command[0]).name}...", file=sys.stderr)
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def measure():
    scripts = ROOT / "tests" / "bench"
    return {"machine": machine(), "prog": run(BUILD / "bench_prog"),
            "forward": json.loads(run(scripts / "forward.py", "--json")),
            "icount": json.loads(run(scripts / "icount.py", "--json"))}


def machine():
    names = re.findall(r"^model name\s*: (.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} processors, Linux {os.uname().release}"


def programs(text):
    """Rows of (name, least, median, most, by medians over empty, by least), the last two "" where there are none."""
    for line in text.splitlines()[2:]:
        found = re.match(r"(.*?) +([\d.]+) +([\d.]+) +([\d.]+)(?: +(-?[\d.]+) +(-?[\d.]+))?$", line)
        if not found[1].endswith("only restored"):
            yield [field or "" for field in found.groups()]


def _number(value, form=",.0f"):
    return "not here" if value is None else f"{value:{form}}"


def _row(name, count, time):
    """Instructions by the least; nanoseconds by medians, and by the least."""
    nothing = candidates.NOTHING.name
    if name == nothing:
        return [f"{name}: all of it", *(_number(count.of(name, kind, min)) for kind in (NO_SYN, LOW, CLAMPED)), "",
                *(f"{time.of(name, kind):,.0f} ({time.of(name, kind, min):,.0f})" for kind in (NO_SYN, CLAMPED))]
    return [name, *(_number(count.added(name, nothing, kind, min)) for kind in (NO_SYN, LOW, CLAMPED)),
            " / ".join(_number(count.times(name, kind, min), ".2f") for kind in (NO_SYN, CLAMPED)),
            *(f"{_number(time.added(name, nothing, kind))} ({_number(time.added(name, nothing, kind, min))})"
              for kind in (NO_SYN, CLAMPED))]


def _markdown_table(rows):
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


def markdown(results):
    forward, guest = results["forward"], results["icount"]
    time, count = table.Results(forward), table.Results(guest)
    rows = [["added to a forwarded packet", "instructions, no SYN", "SYN already low", "SYN clamped",
             "times nftables', no SYN / clamped", "ns, no SYN", "ns, SYN clamped"]]
    rows += [_row(name, count, time) for name in count.samples]
    inside = [["within the program, ns", "least", "median", "most", "over empty, by medians", "by the least"],
              *programs(results["prog"])]
    return (f"{results['machine']}: {forward['rounds']} rounds of {forward['packets']} packets of each kind, all candidates "
            f"in each round. Instructions: Linux {guest['kernel']}, {guest['rounds']} rounds of {guest['packets']}.\n\n"
            f"{_markdown_table(rows)}\n\n{_markdown_table(inside)}\n")


def svg(results):
    count = table.Results(results["icount"])
    panels = []
    for kind in (NO_SYN, CLAMPED):
        rows = [(name, count.added(name, candidates.NOTHING.name, kind, min),
                 next(colour for word, colour in COLOURS if name.startswith(word)))
                for name in count.samples if name != candidates.NOTHING.name]
        panels.append((kind, sorted(rows, key=lambda row: row[1])))
    return plot.bars("What MSS clamping adds to a forwarded packet",
                     f"executed instructions, Linux {results['icount']['kernel']}", panels)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--from", dest="file", metavar="FILE", help="measure nothing: take an earlier bench.json")
    arguments = parser.parse_args()
    if arguments.file:
        results = json.loads(pathlib.Path(arguments.file).read_text())
    else:
        results = measure()
        (BUILD / "bench.json").write_text(json.dumps(results))
    print(results["machine"], results["prog"], table.text(results["forward"]), table.text(results["icount"]), sep="\n\n")
    (BUILD / "bench.md").write_text(markdown(results))
    (BUILD / "bench.svg").write_text(svg(results))


if __name__ == "__main__":
    main()
