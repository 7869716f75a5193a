"""Rounds of: a run, a strike, mending, runs until one succeeds, and every row compared."""

import contextlib
import json
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.faults.place import UNIT, Place, kill_tree
from tests.faults.strikes import CLUSTER, INLINE, RARE

TRIES = 5  # after a strike; what a dead run holds is free after the time of its lease
HANG_S = 200.0
STRETCH_S = 0.1  # per answer of the source, so that a small load is at work for long enough to be struck


@dataclass
class Report:
    rounds: int = 0
    struck: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    """The run was over, or the process was not found."""
    states: Counter[str] = field(default_factory=Counter)
    rows_compared: int = 0
    violations: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return {
            "rounds": self.rounds,
            "struck": dict(sorted(self.struck.items())),
            "struck_too_late": dict(sorted(self.missed.items())),
            "runs": dict(sorted(self.states.items())),
            "rows_compared": self.rows_compared,
            "violations": self.violations,
        }


@dataclass
class Campaign:
    place: Place
    random: Random
    cluster_share: float = 0.25
    report: Report = field(default_factory=Report)

    def round(self) -> None:
        self.report.rounds += 1
        is_inline = self.random.random() >= self.cluster_share
        name, strike = self._choose(is_inline)
        place = self.place
        if self.random.random() < 0.3:
            place.call("reset", "shop", UNIT, "--yes")
        place.configure(inline=is_inline)
        place.writer.start()
        place.source_door.delay_s = STRETCH_S
        run = place.start("run", "shop")
        time.sleep(self.random.uniform(0.3, 2.0) if is_inline else self.random.uniform(0.0, 4.0))
        is_hit = strike(place, run, self.random)
        (self.report.struck if is_hit else self.report.missed)[name] += 1
        self._end(name, run)
        place.mend()
        place.configure(inline=True)
        self._succeed(name)
        place.writer.stop()
        self._succeed(name)
        self._compare(name)
        if (left := self.place.staged_bytes()) > 0:
            self._accuse(name, f"{left} bytes are left in staging after a run that succeeded")

    def _choose(self, is_inline: bool) -> tuple[str, Any]:
        if self.random.random() < 0.03:
            return self.random.choice(list(RARE.items()))
        return self.random.choice(list((INLINE if is_inline else CLUSTER).items()))

    def _end(self, name: str, run: "subprocess.Popen[str]") -> str:
        """A run ends by itself, with one document or killed, and never with a trace."""
        try:
            out, err = run.communicate(timeout=HANG_S)
        except subprocess.TimeoutExpired:
            self._accuse(name, "the run hangs")
            kill_tree(run.pid)
            run.communicate()
            return "hung"
        if "Traceback" in err:
            self._accuse(name, f"a trace: {err[-1500:]}")
        with contextlib.suppress(ValueError):
            answer = json.loads(out)
            state = str(answer.get("state") or (answer.get("error") or {}).get("code") or "unknown")
            code = (answer.get("error") or {}).get("code")
            self.report.states[f"{state} {code}" if code and code != state else state] += 1
            return state
        if run.returncode >= 0:
            self._accuse(name, f"exit {run.returncode} without a document: {out[-500:]!r} {err[-500:]!r}")
        self.report.states["killed"] += 1
        return "killed"

    def _succeed(self, name: str) -> None:
        seen = []
        for _ in range(TRIES):
            seen.append(self._end(name, self.place.start("run", "shop")))
            if seen[-1] == "SUCCEEDED":
                return
            time.sleep(8.0)
        self._accuse(name, f"no run succeeds after it: {seen}")

    def _compare(self, name: str) -> None:
        source, lake = self.place.source_rows(), self.place.lake_rows()
        self.report.rows_compared += sum(source.values())
        if source != lake:
            missing, extra = source - lake, lake - source
            some = f"{list(missing)[:3]} / {list(extra)[:3]}"
            self._accuse(name, f"{sum(missing.values())} rows missing, {sum(extra.values())} too many: {some}")

    def _accuse(self, name: str, what: str) -> None:
        self.report.violations.append(f"round {self.report.rounds}, {name}: {what}")
