"""The drawer in which one unit is configured."""

from collections.abc import Awaitable, Callable
from typing import Any

from nicegui import ui
from pydantic import JsonValue

from ingest_ray.catalog.unit_configs import Configured
from ingest_ray.console.elements import button, heading, note, readable, text_of
from ingest_ray.console.page_context import Action, PageContext, show_error, show_message
from ingest_ray.console.units.policy_form import PolicyForm
from ingest_ray.graphql.filters import FORMS, FilterForm
from ingest_ray.sdk.errors import ConfigError
from ingest_ray.sdk.types import DataMode, UnitConfig
from ingest_ray.service.endpoints.filter_options import Options, filter_options
from ingest_ray.service.units.configure import UnitChange, choices_for, configure, find_config
from ingest_ray.service.units.listing import UnitView


async def configure_drawer(context: PageContext, view: UnitView, done: Callable[[], Awaitable[None]]) -> None:
    stored = await context.call(find_config, context.installation, view.ref)
    choices = await context.call(choices_for, context.installation, view.ref)
    options = await context.call(filter_options, context.installation, view.endpoint_id)
    if choices is None or options is None:
        return
    with (
        ui.dialog().props('position="right" full-height aria-label="Configure"') as dialog,
        ui.card().classes("drawer"),
    ):
        heading(f"Configure {view.unit_id}", 2)
        sinks = tuple(name for name in choices.sinks if context.principal.is_for(name) or _is_sink_of(stored, name))
        _warn(stored)
        form = ConfigForm(view, stored, sinks, choices.columns, options)

        async def save() -> None:
            try:
                change = form.change()
            except ConfigError as error:
                show_error(error)
                return
            saved = await context.act(
                Action("configureIngestionUnit", view.endpoint_id, also=_other_sinks(change, stored)),
                configure,
                context.installation,
                view.ref,
                change,
                stored.version if stored is not None else 0,
            )
            if saved is not None:
                dialog.close()
                show_message(f"{view.unit_id} is configured")
                await done()

        with ui.element("div").classes("bar"):
            button("Save", save, view.unit_id, is_main=True)
            button("Cancel", dialog.close)
    dialog.on("hide", dialog.delete)
    dialog.open()


def _warn(stored: Configured | None) -> None:
    if stored is None:
        return
    if stored.origin == "rule":
        note(
            "A rule of ingest.yaml configures this unit. Once it is saved here, the rules of the file no longer apply to it, and a change "
            "of the file does not reach it. To keep the file in charge, change it there and run: ingest-ray apply",
            "warning",
        )
    else:
        note("This unit was configured by hand: rules of ingest.yaml do not apply to it.", "warning")


def _is_sink_of(stored: Configured | None, sink_id: str) -> bool:
    return stored is not None and sink_id in (stored.config.sink_id, stored.config.sink_endpoint_id)


def _other_sinks(change: UnitChange, stored: Configured | None) -> tuple[str, ...]:
    """The sinks that the change chooses."""
    before = (stored.config.sink_id, stored.config.sink_endpoint_id) if stored is not None else ()
    return tuple(name for name in (change.sink_id, change.sink_endpoint_id) if name and name not in before)


class ConfigForm:
    """The fields of the form, filled with the stored configuration."""

    def __init__(
        self,
        view: UnitView,
        stored: Configured | None,
        sinks: tuple[str, ...],
        columns: tuple[str, ...],
        options: Options,
    ) -> None:
        config = stored.config if stored is not None else None
        self._enabled = ui.switch("Enabled", value=config.enabled if config else False)
        self._run_mode = _select("Run mode", [mode.value for mode in view.supported_modes], view.run_mode.value)
        modes = [DataMode.RAW.value, *([DataMode.CDM.value] if view.cdm_model_ids else [])]
        self._mode = _select("Data", modes, config.mode.value if config else DataMode.RAW.value)
        sink = config.sink_id if config is not None else sinks[0] if len(sinks) == 1 else None
        self._sink = _select("Sink", list(sinks), sink)
        minutes = config.schedule_interval_minutes if config is not None else None
        self._minutes = ui.number(
            "Every so many minutes (empty: manual)", value=minutes, min=1, precision=0, format="%d"
        )
        self._minutes.props("outlined dense clearable")
        calendar = config.schedule_calendar if config is not None else None
        self._cron = ui.input("Or by a calendar, as crontab: 0 3 * * 1-5", value=calendar.cron if calendar else "")
        self._cron.props("outlined dense clearable")
        self._zone = ui.input("Zone of the calendar", value=calendar.zone if calendar else "UTC")
        self._zone.props("outlined dense")
        self._filter = FilterFields(FORMS.get(view.filter_kind or ""), config, options)
        heading("Policy", 3)
        policy = config.policy.model_dump(mode="json", exclude_defaults=True) if config is not None else {}
        self._policy = PolicyForm(policy, columns)

    def change(self) -> UnitChange:
        """Raises `ConfigError` for a field of the policy that cannot be read."""
        minutes, cron = self._minutes.value, (self._cron.value or "").strip()
        if minutes and cron:
            raise ConfigError("a unit runs by an interval or by a calendar: empty one of the two fields")
        return UnitChange(
            enabled=bool(self._enabled.value),
            run_mode=self._run_mode.value,
            mode=self._mode.value,
            sink_id=self._sink.value,
            sink_endpoint_id=self._sink.value if self._mode.value == DataMode.CDM else None,
            schedule_kind="INTERVAL" if minutes else "CRON" if cron else "MANUAL",
            schedule_interval_minutes=int(minutes) if minutes else None,
            schedule_cron=cron or None,
            schedule_zone=(self._zone.value or "").strip() or None,
            policy=self._policy.document(),
            filters=self._filter.document(),
        )


class FilterFields:
    """The fields of a filter, with choices from the catalog; none for a unit that cannot be filtered."""

    def __init__(self, form: FilterForm | None, config: UnitConfig | None, options: Options) -> None:
        self._form = form
        self._selects: dict[str, Any] = {}
        if form is None:
            return
        stored = config.filters.get(form.name) if config is not None else None
        now: dict[str, JsonValue] = stored if isinstance(stored, dict) else {}
        text_of("Filter (nothing chosen: everything)", "p", "soft")
        for choice in form.choices:
            by_value = {
                str(option[choice.value]): option
                for option in options.get(choice.dataset, ())
                if option.get(choice.value)
            }
            shown = {key: _shown(key, [option.get(name) for name in choice.shown]) for key, option in by_value.items()}
            before = now.get(choice.field)
            chosen = [str(value) for value in before] if isinstance(before, list) else []
            shown |= {value: readable(value) for value in chosen if value not in shown}
            self._selects[choice.field] = ui.select(
                shown, label=choice.label, value=chosen, multiple=True, with_input=True
            ).props(f'outlined dense use-chips aria-label="{choice.label}"')
        since = now.get("updatedFrom")
        self._since = ui.input(
            "Updated from (UTC)", value=str(since) if since else "", placeholder="2026-01-31T00:00:00Z"
        )
        self._since.props("outlined dense")

    def document(self) -> dict[str, JsonValue] | None:
        if self._form is None:
            return None
        inner: dict[str, JsonValue] = {
            field: list(select.value) for field, select in self._selects.items() if select.value
        }
        if self._since.value:
            inner["updatedFrom"] = self._since.value
        return {self._form.name: inner} if inner else {}


def _shown(key: str, names: list[JsonValue]) -> str:
    name = next((str(one) for one in names if one), None)
    return readable(f"{name} ({key})" if name and name != key else key)


def _select(label: str, options: list[str], value: str | None) -> Any:
    return ui.select(options, label=label, value=value if value in options else None).props("outlined dense")
