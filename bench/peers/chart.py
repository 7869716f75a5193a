"""Draws what `bench.side_by_side` measured, from JSON on stdin: `chart.py OUT`. Its environment has matplotlib; the project's has none,
because NumPy, which comes with it, would make every start of the project slower by a tenth of a second."""

import json
import sys

from matplotlib.figure import Figure

found = json.load(sys.stdin)
names = list(found["bars"])
figure = Figure(figsize=(9, 0.6 * len(names) + 1.2))
axes = figure.subplots()
middle = [found["bars"][name]["median"] for name in names]
spread = [
    [found["bars"][name]["median"] - found["bars"][name]["least"] for name in names],
    [found["bars"][name]["most"] - found["bars"][name]["median"] for name in names],
]
axes.barh(names, middle, xerr=spread, color=["tab:blue" if name == found["ours"] else "tab:gray" for name in names])
axes.set_xlabel(found["title"])
figure.tight_layout()
figure.savefig(sys.argv[1])
