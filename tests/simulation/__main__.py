"""Runs simulated histories and counts their faults: `python -m tests.simulation --seeds 100000`, or one of them: `--seed N --trace`."""

import argparse
import json
import sys
import time
from collections import Counter
from itertools import islice

from tests.simulation.campaign import disable_logging, results
from tests.simulation.history import History
from tests.simulation.mutations import KNOWN_HISTORIES, MUTATIONS, SHOWN_BY_FILE, violations
from tests.simulation.worlds import WORLDS


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    options.add_argument("--seeds", type=int, default=1_000, help="how many histories")
    options.add_argument("--first", type=int, default=0, help="the first seed")
    options.add_argument("--seed", type=int, help="only this history")
    options.add_argument("--world", choices=sorted(set(WORLDS)), help="of all histories; else drawn from the seed")
    options.add_argument("--trace", action="store_true", help="every step of it")
    options.add_argument("--processes", type=int, default=1)
    options.add_argument("--stop-at", type=int, default=10, help="violations after which to give up")
    options.add_argument("--find-mutations", action="store_true", help="write which histories show each deliberate bug")
    given = options.parse_args()
    disable_logging()
    if given.find_mutations:
        return find_mutations(given.first, given.seeds)
    if given.seed is not None:
        result = History(given.seed, given.world, is_traced=given.trace).play()
        print(result)
        return 1 if result.violation else 0
    return campaign(given.first, given.seeds, given.processes, given.stop_at, given.world)


def find_mutations(first: int, count: int) -> int:
    """A history that still shows its bug stays in the file."""
    known = json.loads(SHOWN_BY_FILE.read_text()) if SHOWN_BY_FILE.exists() else {}
    shown_by = {}
    for name in MUTATIONS:
        seeds = dict.fromkeys([*known.get(name, []), *range(first, first + count)])
        shown_by[name] = list(islice(violations(name, seeds), KNOWN_HISTORIES))
        print(f"{name}: {shown_by[name]}", flush=True)
    lines = (f'  "{name}": {json.dumps(seeds)}' for name, seeds in sorted(shown_by.items()))
    SHOWN_BY_FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    return 0 if all(shown_by.values()) else 1


def campaign(first: int, count: int, processes: int, stop_at: int, world: str | None) -> int:
    started = time.monotonic()
    fault_counts: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()
    total: Counter[str] = Counter()
    worlds: Counter[str] = Counter()
    violations = []
    for result in results(first, count, processes, world):
        fault_counts += result.fault_counts
        outcomes += result.outcomes
        worlds[result.world] += 1
        total.update(histories=1, steps=result.steps, commits=result.commits, rows=result.rows)
        if result.violation:
            violations.append(result)
            print(f"seed {result.seed}: {result.violation}", flush=True)
            if len(violations) >= stop_at:
                break
        if total["histories"] % 10_000 == 0:
            print(f"{total['histories']:,} histories, {len(violations)} violations", flush=True)
    seconds = time.monotonic() - started
    print(f"\n{total['histories']:,} histories in {seconds:.0f} s ({60 * total['histories'] / seconds:,.0f} a minute)")
    print(f"{total['steps']:,} steps, {total['commits']:,} commits, {outcomes.total():,} runs")
    for title, counts in (("worlds", worlds), ("runs", outcomes), ("faults", fault_counts)):
        for name, number in sorted(counts.items()):
            print(f"  {title:7} {name:48} {number:>12,}")
    print(f"violations: {len(violations)}")
    for result in violations[:3]:
        print(f"  replay: python -m tests.simulation --seed {result.seed} --world '{result.world}' --trace")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
