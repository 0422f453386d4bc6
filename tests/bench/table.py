# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What forward.py and icount.py measured, as text. Measures nothing."""
import statistics

import candidates


class Results:
    def __init__(self, results):
        self.results, self.samples, self.unit = results, results["samples"], results["unit"]
        self.nothing = self.samples[candidates.NOTHING.name]

    def of(self, name, kind, measure=statistics.median):
        """What a packet of a kind takes with a candidate."""
        return measure(self.samples[name][kind])

    def added(self, name, other, kind, measure=statistics.median):
        """How much more that is than with another candidate; None when one of them was not measured."""
        if name not in self.samples or other not in self.samples:
            return None
        return self.of(name, kind, measure) - self.of(other, kind, measure)

    def times(self, name, kind, measure=statistics.median):
        """How many times what nftables adds to nothing attached."""
        more, unit = (self.added(one, candidates.NOTHING.name, kind, measure) for one in (name, candidates.NFTABLES.name))
        return more / unit if more is not None and unit else None

    def kinds(self):
        return list(self.nothing)


def _cell(value, form="8.0f"):
    return f"{value:{form}}" if value is not None else " " * 8


def _line(results, name, kind, measures):
    empty = candidates.by_name(name).baseline
    line = f"{name:45}" + "".join(_cell(results.of(name, kind, measure)) for measure in measures) + "  "
    for measure in measures[:2] if name != candidates.NOTHING.name else ():
        line += _cell(results.added(name, candidates.NOTHING.name, kind, measure) if name in results.samples else None)
        line += _cell(results.times(name, kind, measure), "8.2f")
        line += _cell(results.added(name, empty, kind, measure)) + "  "
    return line.rstrip()


def text(raw):
    results = Results(raw)
    # Instructions that are not those of the packet can only add to it.
    measures = (min,) if results.unit == "instructions" else (statistics.median, min, max)
    names = {min: "least", max: "most", statistics.median: "median"}
    lines = [f"{results.unit} a packet; Linux {raw['kernel']}, {raw['rounds']} rounds of {raw['packets']} packets of each kind",
             "added: to nothing attached; times: what nftables adds there; empty: added to an empty program in that place"]
    for kind in results.kinds():
        lines.append(f"\n{kind:45}" + "".join(f"{names[measure]:>8}" for measure in measures)
                     + "     added   times   empty" * len(measures[:2]))
        lines += [_line(results, name, kind, measures) for name in results.samples]
    lines += [f"not here: {name}: {why}" for name, why in raw["missing"].items()]
    return "\n".join(lines)
