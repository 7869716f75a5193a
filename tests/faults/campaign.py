"""Rounds of: a run, a strike, mending, runs until one succeeds, and every row compared."""

import re
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from tests.faults.place import Place, Wrong, code_of, document_of, kill_tree
from tests.faults.report import Report
from tests.faults.strikes import HEADS, RARE, Killed, Strike, strikes_on

TRIES = 5  # after a strike; what a dead run holds is free after the time of its lease
AGAIN_S = 8.0
AT_WORK_S = 60.0  # until a run asks its source; on a busy machine a process starts slowly
WITHIN_S, WITHIN_ON_RAY_S = 4.0, 8.0  # from there to the strike
RARELY = 0.03
ANEW, RESET = 0.4, 0.1  # rounds that begin with an empty table, and with a full one that is loaded again
EARLY, AROUND_COMMITS = 0.15, 0.6
WORDS = (5, 40)  # a run's first are about its lease
AFTER_A_WORD_S = 0.05


@dataclass
class Campaign:
    """`only`: strikes whose names match this expression."""

    places: dict[str, Place]
    random: Random
    cluster_share: float = 0.25
    only: str = ""
    report: Report = field(default_factory=Report)

    def __post_init__(self) -> None:
        for place in self.places.values():
            place.configure(inline=True)
            place.call("collect", place.source.endpoint)
            place.configure(inline=True)

    def round(self) -> None:
        name = self.random.choice(sorted(self.places))
        self.report.sources[name].rounds += 1
        is_inline = self.random.random() >= self.cluster_share
        title, strike = self._choose(self.places[name], is_inline=is_inline)
        try:
            self._round(name, title, strike, is_inline)
        except Wrong as wrong:
            self._accuse(name, title, str(wrong))
            self._retire(name)

    def _round(self, name: str, title: str, strike: Strike, is_inline: bool) -> None:
        place, counts = self.places[name], self.report.sources[name]
        before = self.random.random()
        if before < ANEW:
            place.begin_anew()
        elif before < ANEW + RESET:
            place.reset()
        place.configure(inline=is_inline, threads=self.random.choice([None, 3]))
        place.source.writer.start()
        place.source.door.delay_s = place.source.stretch_s
        is_hit = self._struck(name, title, place, strike, is_inline)
        (counts.struck if is_hit else counts.missed)[title] += 1
        place.mend()
        place.configure(inline=True)
        self._succeed(name, title)
        place.source.writer.stop()
        self._succeed(name, title)
        counts.rows_compared += self._compare(name, title)
        if (left := place.staged_bytes()) > 0:
            self._accuse(name, title, f"{left} bytes are left in staging after a run that succeeded")

    def _choose(self, place: Place, *, is_inline: bool) -> tuple[str, Strike]:
        strikes: Mapping[str, Strike] = RARE
        if self.only or self.random.random() >= RARELY:
            strikes = strikes_on(place, is_inline=is_inline)
        if self.only:
            strikes = {title: strike for title, strike in {**strikes, **RARE}.items() if re.search(self.only, title)}
        title = self.random.choice(sorted(strikes))
        return title, strikes[title]

    def _struck(self, name: str, title: str, place: Place, strike: Strike, is_inline: bool) -> bool:
        run = place.start_run()
        if title in HEADS or not isinstance(strike, Killed):  # the others wait for their process to appear
            self._await_the_moment(place, run, is_inline)
        is_hit = False
        try:
            is_hit = strike(place, run, self.random)
        except Wrong as wrong:
            self._accuse(name, title, str(wrong))
        place.source.door.delay_s = 0.0
        self._end(name, title, run)
        return is_hit

    def _await_the_moment(self, place: Place, run: "subprocess.Popen[str]", is_inline: bool) -> None:
        """Early; while it is at work; or right after a word of the state, because commits lie between such words."""
        when = self.random.random()
        if when < EARLY:
            time.sleep(self.random.uniform(0.0, 1.0))
        elif when < AROUND_COMMITS:
            place.state_door.await_answers(self.random.randint(*WORDS), run, AT_WORK_S)
            time.sleep(self.random.uniform(0.0, AFTER_A_WORD_S))
        else:
            place.source.door.await_answers(1, run, AT_WORK_S)
            time.sleep(self.random.uniform(0.0, WITHIN_S if is_inline else WITHIN_ON_RAY_S))

    def _end(self, name: str, title: str, run: "subprocess.Popen[str]") -> str:
        """A run ends by itself, with one document or killed, and never with a trace."""
        try:
            answer = document_of(run, "run")
        except subprocess.TimeoutExpired:
            self._accuse(name, title, "the run hangs")
            kill_tree(run.pid)
            run.communicate()
            return "hung"
        except Wrong as wrong:
            how = "killed"
            if run.returncode >= 0 or "a trace" in str(wrong):
                self._accuse(name, title, str(wrong))
                how = "wrong"
            self.report.states[how] += 1
            return how
        faults = [answer, *answer.get("units", [])]
        codes = sorted({code for fault in faults if (code := code_of(fault)) is not None})
        state = str(answer.get("state") or "REFUSED")
        self.report.states[" ".join([state, *codes])] += 1
        return state

    def _succeed(self, name: str, title: str) -> None:
        seen = []
        for _ in range(TRIES):
            seen.append(self._end(name, title, self.places[name].start_run()))
            if seen[-1] == "SUCCEEDED":
                return
            time.sleep(AGAIN_S)
        self._accuse(name, title, f"no run succeeds after it: {seen}")

    def _compare(self, name: str, title: str) -> int:
        source, lake = self.places[name].source.rows(), self.places[name].landed()
        if source != lake:
            missing, extra = source - lake, lake - source
            some = f"{list(missing)[:3]} / {list(extra)[:3]}"
            self._accuse(name, title, f"{missing.total()} rows missing, {extra.total()} too many: {some}")
            self._retire(name)
        return source.total()

    def _accuse(self, name: str, title: str, what: str) -> None:
        number = self.report.sources[name].rounds
        self.report.violations.append(f"{name}, round {number}, {title}: {what}")

    def _retire(self, name: str) -> None:
        """What is wrong there stays as it is, to be looked at."""
        del self.places[name]
