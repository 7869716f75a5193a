"""Simulated processes as greenlets: one continues at a time, picked from the seed."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from greenlet import GreenletExit, getcurrent, greenlet


@dataclass(eq=False)
class Process:
    """A simulated process, which can die, or be suspended, as a whole."""

    name: str
    is_alive: bool = True
    frozen_until: float = 0.0


@dataclass(eq=False)
class Task:
    """One thread of a process. It continues when `is_ready()` is true, at the latest at `wake_at`."""

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

    def trace(self, message: str) -> None:
        if self.is_traced:
            name = next((task.process.name for task in self._tasks if task.thread is getcurrent()), "history")
            print(f"{self.now - 1_000_000:9.2f} {name:20} {message}")

    def current_process(self) -> Process | None:
        """The process whose task runs; None outside of tasks."""
        return next((task.process for task in self._tasks if task.thread is getcurrent()), None)

    def spawn(self, process: Process, work: Callable[[], None]) -> Task:
        task = Task(process, greenlet(work, parent=self._main))
        self._tasks.append(task)
        return task

    def pause(self) -> None:
        """Lets any other task run. Outside of tasks it does nothing."""
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
        """Ends a process as SIGKILL does: its threads never continue, and no clean-up code of theirs runs."""
        process.is_alive = False
        self._dead += [task for task in self._tasks if task.process is process]
        self._tasks = [task for task in self._tasks if task.process is not process]

    def step(self) -> bool:
        """Runs one task until it pauses. False where no task can run, now or later."""
        self.steps += 1
        self.now += self.random.random() * 0.1
        ready = [task for task in self._tasks if self._can_run(task)]
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

    def _can_run(self, task: Task) -> bool:
        if task.process.frozen_until > self.now:
            return False
        return task.wake_at <= self.now or (task.is_ready is not None and task.is_ready())

    def close(self) -> None:
        """Ends the remaining tasks without running them."""
        self.is_over = True
        for task in [*self._tasks, *self._dead]:
            if not task.thread.dead:
                task.thread.throw(GreenletExit)
        self._tasks, self._dead = [], []
