"""The rounds of a campaign: a run, an injected fault, repair, runs until one succeeds, and a comparison of every row."""

import re
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.faults.injections import CLUSTER_HEADS, OF_ACTORS, RARE, Injection, KillProcess, injections_for
from tests.faults.installation_under_test import InstallationUnderTest, WrongAnswer, code_of, document_of, kill_tree
from tests.faults.report import Report
from tests.forks import ForkedProcess

TRIES = 5  # after a fault; a dead run's unit is free when its lease has expired
RETRY_S = 8.0
SOURCE_WAIT_S = 60.0  # until a run queries its source; on a busy machine a process starts slowly
WITHIN_S, WITHIN_ON_RAY_S = 4.0, 8.0  # from the first answer of the source to the injection
RARE_SHARE = 0.03
START_EMPTY, RESET = 0.4, 0.1  # rounds that begin with an empty table, and with a full one that is loaded again
EARLY, BETWEEN_COMMITS = 0.15, 0.6
STATE_ANSWERS = (5, 40)  # answers of the KV that pass before the injection; a run's first are about its lease
AFTER_AN_ANSWER_S = 0.05
ACTOR_SHARE = 0.5  # of rounds on Ray: planner, state and sink in an actor as on a cluster, not in the driver


def adopted_files(lake: Path) -> set[str]:
    """The files that readers wrote and a commit named, as the logs of the lake's Delta tables say."""
    logs = [path.read_text() for path in lake.rglob("_delta_log/*.json")]
    return {name for text in logs for name in re.findall(r'"add":\{"path":"(staged-[^"]+)"', text)}


@dataclass
class Campaign:
    """`only`: faults whose names match this expression."""

    installations: dict[str, InstallationUnderTest]
    random: Random
    cluster_share: float = 0.25
    only: str = ""
    empty_share: float = START_EMPTY
    report: Report = field(default_factory=Report)

    def __post_init__(self) -> None:
        for installation in self.installations.values():
            installation.write_file(inline=True)
            installation.call("apply")
            installation.call("collect", installation.source.endpoint)
            installation.call("apply")

    def round(self) -> None:
        name = self.random.choice(sorted(self.installations))
        self.report.sources[name].rounds += 1
        is_inline = self.random.random() >= self.cluster_share
        title, injection = self._choose_injection(self.installations[name], is_inline=is_inline)
        try:
            self._round(name, title, injection, is_inline)
        except WrongAnswer as failure:
            self._report_violation(name, title, str(failure))
            self._retire(name)

    def _round(self, name: str, title: str, injection: Injection, is_inline: bool) -> None:
        installation, counts = self.installations[name], self.report.sources[name]
        before = self.random.random()
        if before < self.empty_share:
            installation.start_empty()
        elif before < self.empty_share + RESET and installation.write != "append":  # which would load every row again
            installation.reset()
        has_actors = title in OF_ACTORS or self.random.random() < ACTOR_SHARE
        installation.write_file(inline=is_inline, threads=self.random.choice([None, 3]), has_actors=has_actors)
        installation.source.writer.start()
        installation.source.proxy.delay_s = installation.source.answer_delay_s
        has_hit = self._inject(name, title, installation, injection, is_inline)
        (counts.struck if has_hit else counts.missed)[title] += 1
        installation.repair()
        installation.write_file(inline=True)
        self._succeed(name, title)
        installation.source.writer.stop()
        self._succeed(name, title)
        counts.rows_compared += self._compare(name, title)
        counts.adopted |= adopted_files(installation.folder / "lake") | installation.lake.staged_files()
        if (left := installation.staged_bytes()) > 0:
            self._report_violation(name, title, f"{left} bytes are left in staging after a run that succeeded")

    def _choose_injection(self, installation: InstallationUnderTest, *, is_inline: bool) -> tuple[str, Injection]:
        injections: Mapping[str, Injection] = RARE
        if self.only or self.random.random() >= RARE_SHARE:
            injections = injections_for(installation, is_inline=is_inline)
        if self.only:
            injections = {
                title: injection for title, injection in {**injections, **RARE}.items() if re.search(self.only, title)
            }
        title = self.random.choice(sorted(injections))
        return title, injections[title]

    def _inject(
        self, name: str, title: str, installation: InstallationUnderTest, injection: Injection, is_inline: bool
    ) -> bool:
        run = installation.start_run()
        if title in CLUSTER_HEADS or not isinstance(
            injection, KillProcess
        ):  # the others wait until their process appears
            self._await_injection_time(installation, run, is_inline)
        has_hit = False
        try:
            has_hit = injection(installation, run, self.random)
        except WrongAnswer as failure:
            self._report_violation(name, title, str(failure))
        installation.source.proxy.delay_s = 0.0
        self._end(name, title, run)
        return has_hit

    def _await_injection_time(self, installation: InstallationUnderTest, run: ForkedProcess, is_inline: bool) -> None:
        """Waits until an early moment, a moment of reading, or one right after an answer of the KV: commits lie between such answers."""
        when = self.random.random()
        if when < EARLY:
            time.sleep(self.random.uniform(0.0, 1.0))
        elif when < BETWEEN_COMMITS:
            installation.state_proxy.await_answers(self.random.randint(*STATE_ANSWERS), run, SOURCE_WAIT_S)
            time.sleep(self.random.uniform(0.0, AFTER_AN_ANSWER_S))
        else:
            installation.source.proxy.await_answers(1, run, SOURCE_WAIT_S)
            time.sleep(self.random.uniform(0.0, WITHIN_S if is_inline else WITHIN_ON_RAY_S))

    def _end(self, name: str, title: str, run: ForkedProcess) -> str:
        """Waits for the end of a run, which ends by itself, with one document or killed, and never with a traceback."""
        try:
            answer = document_of(run, "run")
        except subprocess.TimeoutExpired:
            self._report_violation(name, title, "the run hangs")
            kill_tree(run.pid)
            run.communicate()
            return "hung"
        except WrongAnswer as failure:
            how = "killed"
            if run.wait() >= 0 or "a trace" in str(failure):
                self._report_violation(name, title, str(failure))
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
            seen.append(self._end(name, title, self.installations[name].start_run()))
            if seen[-1] == "SUCCEEDED":
                return
            time.sleep(RETRY_S)
        self._report_violation(name, title, f"no run succeeds after it: {seen}")

    def _compare(self, name: str, title: str) -> int:
        source, lake = self.installations[name].source.rows(), self.installations[name].lake_rows()
        if source != lake:
            missing, extra = source - lake, lake - source
            some = f"{list(missing)[:3]} / {list(extra)[:3]}"
            self._report_violation(name, title, f"{missing.total()} rows missing, {extra.total()} too many: {some}")
            self._retire(name)
        return source.total()

    def _report_violation(self, name: str, title: str, message: str) -> None:
        number = self.report.sources[name].rounds
        self.report.violations.append(f"{name}, round {number}, {title}: {message}")

    def _retire(self, name: str) -> None:
        """Takes an installation out of the campaign and leaves it as it is, for inspection."""
        del self.installations[name]
