"""Processes as greenlets: one goes on at a time, and the seed says which."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from greenlet import GreenletExit, getcurrent, greenlet


@dataclass(eq=False)
class Process:
    """Something that can die, or be suspended, as a whole."""

    name: str
    is_alive: bool = True
    frozen_until: float = 0.0


@dataclass(eq=False)
class Task:
    """One thread of a process. It goes on when `is_ready` says so, at the latest at `wake_at`."""

    process: Process
    thread: greenlet
    wake_at: float = 0.0
    is_ready: Callable[[], bool] | None = None


@dataclass
class Scheduler:
    random: Random
    now: float = 1_000_000.0
    steps: int = 0
    is_over: bool = False
    is_traced: bool = False
    _tasks: list[Task] = field(default_factory=list)
    _main: greenlet = field(default_factory=getcurrent)
    _dead: list[Task] = field(default_factory=list)

    def say(self, what: str) -> None:
        if self.is_traced:
            who = next((task.process.name for task in self._tasks if task.thread is getcurrent()), "world")
            print(f"{self.now - 1_000_000:9.2f} {who:20} {what}")

    def spawn(self, process: Process, work: Callable[[], None]) -> Task:
        task = Task(process, greenlet(work, parent=self._main))
        self._tasks.append(task)
        return task

    def pause(self) -> None:
        """Lets anything else happen. Outside of tasks, nothing else can."""
        self._wait(0.0, None)

    def sleep(self, seconds: float) -> None:
        self._wait(self.now + seconds, None)

    def wait_for(self, is_ready: Callable[[], bool], timeout_s: float = 1e9) -> None:
        if not is_ready():
            self._wait(self.now + timeout_s, is_ready)

    def _wait(self, wake_at: float, is_ready: Callable[[], bool] | None) -> None:
        thread = getcurrent()
        if thread is self._main:
            return
        if self.is_over:
            raise GreenletExit
        task = next(task for task in self._tasks if task.thread is thread)
        task.wake_at, task.is_ready = wake_at, is_ready
        self._main.switch()
        task.is_ready = None

    def kill(self, process: Process) -> None:
        """As SIGKILL: its threads never go on, and nothing of them is cleaned up."""
        process.is_alive = False
        self._dead += [task for task in self._tasks if task.process is process]
        self._tasks = [task for task in self._tasks if task.process is not process]

    def step(self) -> bool:
        """One task goes on for a moment. False: there is none, and none is to come."""
        self.steps += 1
        self.now += self.random.random() * 0.1
        ready = [task for task in self._tasks if self._may_go_on(task)]
        if not ready:
            times = [max(task.wake_at, task.process.frozen_until) for task in self._tasks]
            times = [time for time in times if time < self.now + 1e6]
            if not times:
                return False
            self.now = max(self.now, min(times))
            return True
        task = ready[self.random.randrange(len(ready))]
        task.thread.switch()
        if task.thread.dead and task in self._tasks:
            self._tasks.remove(task)
        return True

    def _may_go_on(self, task: Task) -> bool:
        if task.process.frozen_until > self.now:
            return False
        return task.wake_at <= self.now or (task.is_ready is not None and task.is_ready())

    def close(self) -> None:
        """Ends what is left, without letting it do anything any more."""
        self.is_over = True
        for task in [*self._tasks, *self._dead]:
            if not task.thread.dead:
                task.thread.throw(GreenletExit)
        self._tasks, self._dead = [], []
