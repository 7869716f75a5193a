"""When a calendar schedule is due: on days on which clocks are moved, too. The expected slots are made minute by minute from the zone."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ingest_ray.core.cron_slots import gaps_of, slot_after, slot_at
from ingest_ray.core.schedule import Schedule, ScheduleState, decide, next_due, overdue_since
from ingest_ray.sdk.types.schedule import CronSchedule, parse_cron

BERLIN_GAP, BERLIN_REPEAT = "2027-03-28", "2027-10-31"  # 02:00 to 03:00 is left out; 02:00 to 03:00 comes twice


def instant(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def due(cron: str, zone: str, begin: str, hours: int) -> list[str]:
    """The slots of so many hours, in UTC."""
    schedule, found, now = CronSchedule(cron=cron, zone=zone), [], instant(begin) - 1
    while (now := slot_after(schedule, now)) < instant(begin) + hours * 3600:
        found.append(datetime.fromtimestamp(now, UTC).strftime("%d %H:%M"))
    return found


def test_a_time_that_does_not_exist_is_due_once_at_the_next_instant() -> None:
    assert due("30 2 * * *", "Europe/Berlin", f"{BERLIN_GAP}T00:00", 26) == ["28 01:00", "29 00:30"]
    assert due("*/10 2 * * *", "Europe/Berlin", f"{BERLIN_GAP}T00:00", 24) == ["28 01:00"]
    assert due("0 2,3 * * *", "Europe/Berlin", f"{BERLIN_GAP}T00:00", 24) == ["28 01:00"]
    assert due("0 */2 * * *", "Europe/Berlin", f"{BERLIN_GAP}T00:00", 6) == ["28 01:00", "28 02:00", "28 04:00"]
    assert due("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00", 24) == ["03 15:30"]  # a gap of half an hour
    assert due("0 12 * * *", "Pacific/Apia", "2011-12-29T00:00", 48) == ["29 22:00", "30 10:00", "30 22:00"]  # a day


def test_a_time_that_comes_twice_is_due_once() -> None:
    assert due("30 2 * * *", "Europe/Berlin", f"{BERLIN_REPEAT}T00:00", 26) == ["31 00:30", "01 01:30"]
    assert due("*/30 2 * * *", "Europe/Berlin", f"{BERLIN_REPEAT}T00:00", 20) == ["31 00:00", "31 00:30"]
    assert due("0 1 * * *", "America/New_York", "2026-11-01T00:00", 20) == ["01 05:00"]


def test_an_expression_of_every_hour_goes_by_elapsed_time() -> None:
    for hours in ("*", "0-23"):
        slots = due(f"30 {hours} * * *", "Europe/Berlin", f"{BERLIN_REPEAT}T00:00", 4)
        assert slots == ["31 00:30", "31 01:30", "31 02:30", "31 03:30"]
        slots = due(f"0 {hours} * * *", "Europe/Berlin", f"{BERLIN_GAP}T00:00", 3)
        assert slots == ["28 00:00", "28 01:00", "28 02:00"]


def test_days_are_those_of_the_zone_and_weekdays_and_days_of_the_month_are_either() -> None:
    assert due("0 3 * * 1-5", "Europe/Berlin", "2026-11-27T00:00", 96) == ["27 02:00", "30 02:00"]
    assert due("0 1 * * 1", "Asia/Tokyo", "2026-11-29T00:00", 48) == ["29 16:00"]
    assert due("0 0 13 * 5", "UTC", "2026-11-12T00:00", 24 * 9) == ["13 00:00", "20 00:00"]


CRONS = st.builds(
    "{} {} * * {}".format,
    st.sampled_from(["0", "30", "*/20", "5,50"]),
    st.sampled_from(["*", "2", "1-3", "*/2", "0", "23"]),
    st.sampled_from(["*", "0", "1-5"]),
)
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"])
MOMENTS = st.sampled_from(
    [BERLIN_GAP, BERLIN_REPEAT, "2027-03-14", "2027-11-07", "2027-04-03", "2027-10-02", "2027-06-01"]
)


def expected(schedule: CronSchedule, begin: int, end: int) -> set[int]:
    """By the definition: every time of a wall clock, minute by minute."""
    fields, zone = parse_cron(schedule.cron), ZoneInfo(schedule.zone)

    def admits(wall: datetime) -> bool:
        weekday = (wall.weekday() + 1) % 7
        return wall.minute in fields.minutes and wall.hour in fields.hours and weekday in fields.weekdays

    shown: dict[datetime, int] = {}
    found = set()
    for moment in range(begin - 90_000, end + 90_000, 60):
        wall = datetime.fromtimestamp(moment, zone).replace(tzinfo=None)
        is_first = wall not in shown
        shown.setdefault(wall, moment)
        if admits(wall) and (is_first or len(fields.hours) == 24):
            found.add(moment)
    if len(fields.hours) < 24:
        for wall, following in zip(sorted(shown), sorted(shown)[1:], strict=False):
            missing = wall + timedelta(minutes=1)
            while missing < following:
                if admits(missing):
                    found.add(shown[following])
                missing += timedelta(minutes=1)
    return {moment for moment in found if begin <= moment < end}


@settings(max_examples=25, deadline=None)
@given(CRONS, ZONES, MOMENTS)
def test_slots_are_those_of_the_definition(cron: str, zone: str, day: str) -> None:
    schedule, begin = CronSchedule(cron=cron, zone=zone), instant(f"{day}T00:00")
    slots, now = set(), begin - 1
    while (now := slot_after(schedule, now)) < begin + 86_400:
        slots.add(now)
        assert slot_at(schedule, now) == now
        assert slot_at(schedule, slot_after(schedule, now) - 1) == now
    assert slots == expected(schedule, begin, begin + 86_400)


def test_decisions_follow_the_calendar() -> None:
    schedule = Schedule(calendar=CronSchedule(cron="0 3 * * 1-5", zone="Europe/Berlin"))
    friday, monday = instant("2026-11-27T02:00"), instant("2026-11-30T02:00")
    assert next_due(schedule, friday) == monday
    new = decide(schedule, ScheduleState(), friday + 7200)
    assert (new.starts, new.last_due) == (False, friday)  # a new schedule waits for its next slot
    known = ScheduleState(last_due=friday)
    assert not decide(schedule, known, monday - 1).starts
    assert decide(schedule, known, monday + 5).starts
    assert overdue_since(schedule, known, monday + 30) is None
    assert overdue_since(schedule, known, monday + 600) == monday
    ahead = ScheduleState(last_due=instant("2026-12-24T02:00"))  # the clock was ahead, and has been corrected
    assert decide(schedule, ahead, monday + 5).last_due == monday


def test_gaps_of_a_zone() -> None:
    assert [str(gap.begin) for gap in gaps_of("Europe/Berlin", 2026, 2027)] == [
        "2026-03-29 02:00:00",
        "2027-03-28 02:00:00",
    ]
    assert gaps_of("Asia/Tokyo", 2026, 2027) == ()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"cron": "0 3 * *"}, "has 4 fields"),
        ({"cron": "0 3 * * * 2027"}, "has 6 fields"),
        ({"cron": "61 3 * * *"}, "bad minute"),
        ({"cron": "0 25 * * *"}, "bad hour"),
        ({"cron": "0 0 30 2 *"}, "bad day-of-month"),
        ({"cron": "0 0 L * *"}, "days with L and # are not supported"),
        ({"cron": "0 0 * * 5#2"}, "days with L and # are not supported"),
        ({"cron": "@daily"}, "has 1 fields"),
        ({"cron": "0 3 * * *", "zone": "Europe/Berlyn"}, "no time zone is named 'Europe/Berlyn'"),
        ({"cron": "0 3 * * *", "zone": "../etc/passwd"}, "no time zone is named"),
        ({"cron": "0 3 * * *", "zone": ""}, "no time zone is named"),
    ],
)
def test_what_is_no_schedule_is_refused(fields: dict[str, str], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        CronSchedule(**fields)
