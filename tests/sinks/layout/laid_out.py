"""A sink whose targets have a layout, for suites that know none."""

from typing import Any

from ingest_ray.sdk.types import Layout, Target


class LaidOutSink:
    """Passes every call on, with the layout in its target."""

    def __init__(self, sink: Any, layout: Layout) -> None:
        self._sink = sink
        self._layout = layout

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._sink, name)
        if not callable(found):
            return found

        def call(*arguments: Any, **named: Any) -> Any:
            return found(*(self._laid_out(argument) for argument in arguments), **named)

        return call

    def _laid_out(self, argument: Any) -> Any:
        return argument.model_copy(update={"layout": self._layout}) if isinstance(argument, Target) else argument
