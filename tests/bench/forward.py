#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What a router takes to forward a packet, with each candidate at work. As root; makes network namespaces and removes
them.

Not a test: nothing is asserted of times. It does check that each packet came through, clamped by who clamps.
"""
import argparse
import contextlib
import json
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "lib"))

import candidates  # noqa: E402
import router  # noqa: E402
import table  # noqa: E402


def options(parser):
    parser.add_argument("--rounds", type=int, metavar="N")
    parser.add_argument("--packets", type=int, metavar="N", help="of each kind, in a round")
    parser.add_argument("--only", default="", metavar="TEXT", help="candidates with this in their names, and nothing attached")


def measure(chosen, rounds, packets, into):
    """Sets all of these candidates up, then measures them in turn; adds the samples to `into`."""
    with contextlib.ExitStack() as stack:
        routers, generators = [], stack.enter_context(router.Generators())
        for number, candidate in enumerate(chosen):
            try:
                routers.append((candidate, stack.enter_context(candidate.router(number))))
            except RuntimeError as error:
                into["missing"][candidate.name] = str(error).splitlines()[-1]
        for turn in range(rounds + 1):
            for candidate, lab in routers:
                samples = into["samples"].setdefault(candidate.name, {})
                for kind in router.KINDS:
                    took = lab.send(generators[kind], kind, packets, candidate.clamps)
                    if turn > 0:  # the first is to warm up
                        samples.setdefault(kind.name, []).append(took)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    options(parser)
    parser.add_argument("--apart", action="store_true", help="one candidate after the other, not in turn")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    chosen = [candidate for candidate in candidates.CANDIDATES
              if candidate is candidates.NOTHING or arguments.only in candidate.name]
    rounds, packets = arguments.rounds or 300, arguments.packets or 500
    results = {"unit": "ns", "kernel": os.uname().release, "rounds": rounds, "packets": packets,
               "samples": {}, "missing": {}}
    for group in [[candidate] for candidate in chosen] if arguments.apart else [chosen]:
        measure(group, rounds, packets, results)
    print(json.dumps(results) if arguments.json else table.text(results))


if __name__ == "__main__":
    main()
