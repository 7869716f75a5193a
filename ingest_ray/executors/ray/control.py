"""What a run on Ray does beside reading, from the driver's side: in the driver itself on one machine, in an actor on a cluster.

one machine     no process of its own: where the driver dies, the run ends in either case
a cluster       an actor, on a node with `ray.actor_labels`; sink actors prepare beside it where slices are large
"""

import logging
import secrets
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, Protocol

import ray

from ingest_ray.core.messages import (
    Abort,
    Commit,
    Drop,
    Event,
    Fault,
    Instruction,
    Plan,
    Prepare,
    ReplanSlice,
)
from ingest_ray.engine.run_order import RunOrder
from ingest_ray.engine.steps.planner import PlanSummary
from ingest_ray.executors.inline import InlineExecutor
from ingest_ray.executors.ray.control_actor import PREPARERS, ControlActor
from ingest_ray.executors.ray.metrics import note_committed
from ingest_ray.executors.ray.remote_errors import unwrapped
from ingest_ray.executors.ray.reported_rows import ActorInbox, DatagramInbox, RowInbox
from ingest_ray.executors.ray.server_watch import CHECK_S, ServerWatch
from ingest_ray.executors.ray.throttle import cluster_permits
from ingest_ray.executors.threads import ThreadedExecutor
from ingest_ray.http.permits import using
from ingest_ray.process.exit_notice import guard_exit
from ingest_ray.sdk.errors import Recovery
from ingest_ray.sdk.types import Learned, Scope
from ingest_ray.state.lease import this_process

log = logging.getLogger(__name__)


def end_actor(method: Any) -> None:
    """Waits for the last call to an actor; one that is lost has ended already."""
    try:
        ray.get(method.remote(), timeout=30)
    except (ray.exceptions.RayError, TimeoutError) as error:
        log.warning("could not end an actor: %s", unwrapped(error))


class Control(Protocol):
    inbox: RowInbox
    may_read: bool
    """Whether it can read a slice, too."""

    def start(self, instruction: Instruction) -> Any:
        """The future or the reference of the event."""
        ...

    def note_event(self, instruction: Instruction, event: Event | None) -> None:
        """Called by the driver for each event of an instruction that was started here."""
        ...

    def rows_being_read(self) -> tuple[int, int]: ...

    def stop(self) -> None: ...

    def close(self) -> None: ...


class DriverControl:
    """Threads of this process. The lease and the planner belong to the caller."""

    def __init__(self, order: RunOrder, inline: InlineExecutor) -> None:
        settings = order.settings
        self.inbox: RowInbox = DatagramInbox()
        self.may_read = not (
            settings.ray.reader_labels or settings.ray.reader_resources or settings.staging.provider == "object-store"
        )
        self._order = order
        self._inline = inline
        self._threads = ThreadedExecutor(inline, PREPARERS + 1)

    def start(self, instruction: Instruction) -> Future[Event | None]:
        with using(cluster_permits(self._order.settings)):
            return self._threads.start(instruction)

    def note_event(self, instruction: Instruction, event: Event | None) -> None:
        self._inline.close_slice(event)
        note_committed(self._order, instruction, event)

    def rows_being_read(self) -> tuple[int, int]:
        return self._inline.rows_being_read()

    def stop(self) -> None:
        self._threads.stop()

    def close(self) -> None:
        """Waits for running steps."""
        self._threads.close()
        self.inbox.close()


def actor_starter(actor: Any, labels: Mapping[str, str], **options: Any) -> Any:
    """The function that starts an actor on a node with these labels; Ray's decorator hides it from type checkers.

    https://docs.ray.io/en/latest/ray-core/scheduling/labels.html
    """
    if labels:
        options["label_selector"] = dict(labels)
    return actor.options(**options).remote if options else actor.remote


class ActorControl:
    """The control actor. Its name in the driver's namespace begins with `control:<run id>`."""

    may_read = False

    def __init__(self, order: RunOrder, key: str, pages: Any, watch: ServerWatch) -> None:
        self._watch = watch
        name = f"control:{order.run_id}:{secrets.token_hex(4)}"  # the actor of an attempt that was lost may still have its own
        starter = actor_starter(ControlActor, order.settings.ray.actor_labels, name=name)
        self.actor = starter(order, key, this_process(), pages)
        self.actor.load.remote()
        self.inbox: RowInbox = ActorInbox(self.actor)

    def begin(self) -> Learned:
        """Takes the lease and settles the intent of an older run."""
        learned: Learned = self._wait_for(self.actor.begin.remote())
        return learned

    def plan(self) -> PlanSummary:
        """Probes the unit in the actor; may be called again after `SourceUnavailable`."""
        plan_summary: PlanSummary = self._wait_for(self.actor.plan.remote())
        return plan_summary

    def open(self, planned: tuple[Scope, ...]) -> None:
        self._wait_for(self.actor.open.remote(planned))

    def learn(self, learned: Learned) -> None:
        self._wait_for(self.actor.learn.remote(learned))

    def explained(self, fault: Fault | None) -> Fault | None:
        """See `Planner.explained`; the fault itself where the actor is lost."""
        if fault is None or fault.recovery is not Recovery.REPLAN:
            return fault
        try:
            explained: Fault = ray.get(self.actor.explained.remote(fault), timeout=30)
        except (ray.exceptions.RayError, TimeoutError):
            return fault
        return explained

    def _wait_for(self, ref: Any) -> Any:
        while not ray.wait([ref], timeout=CHECK_S)[0]:
            self._watch.check()
        try:
            return ray.get(ref)
        except ray.exceptions.RayTaskError as error:
            raise unwrapped(error) from error

    def start(self, instruction: Instruction) -> Any:
        match instruction:
            case Plan() | ReplanSlice():
                return self.actor.perform_plan.remote(instruction)
            case Commit() | Abort() | Drop():
                return self.actor.perform_sink.remote(instruction)
            case Prepare():
                return self.actor.perform_prepare.remote(instruction)
            case _:
                return self.actor.perform_state.remote(instruction)

    def note_event(self, instruction: Instruction, event: Event | None) -> None:
        """The actor has counted it."""

    def rows_being_read(self) -> tuple[int, int]:
        return 0, 0

    def stop(self) -> None:
        """It reads nothing."""

    def close(self) -> None:
        """Releases the lease and ends the actor."""
        if self._watch.is_lost(at_once=True):
            return
        with guard_exit():
            for call in (self.actor.finish_clean_up, self.actor.close, self.actor.end):
                end_actor(call)
            ray.kill(self.actor)
