"""JQL: results equal a filter over the expected records, errors have Jira's wording, and times are read in the right zone."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest_ray.simulators.atlassian import Simulation, simulate
from ingest_ray.simulators.atlassian.query.dates import function_ms, period_ms
from ingest_ray.simulators.atlassian.query.grammar import JQL, QueryError, parse
from tests.atlassian.conftest import opened
from tests.searches import examples

SEARCH = "/rest/api/3/search/jql"


def found(client: httpx.Client, jql: str) -> list[str]:
    ids: list[str] = []
    token = None
    while True:
        answer = client.post(
            SEARCH, json={"jql": jql, "maxResults": 5000} | ({"nextPageToken": token} if token else {})
        )
        assert answer.status_code == 200, answer.text
        document = answer.json()
        ids += [i["id"] for i in document["issues"]]
        token = document.get("nextPageToken")
        if token is None:
            return ids


def matching(client: httpx.Client, jql: str) -> list[str]:
    """Ids in ascending order."""
    return sorted(found(client, jql), key=int)


def message(client: httpx.Client, jql: str) -> str:
    answer = client.post(SEARCH, json={"jql": jql})
    assert answer.status_code == 400, answer.text
    text: str = answer.json()["errorMessages"][0]
    return text


Fields = dict[str, Any]


def fields_of(sim: Simulation) -> dict[str, Fields]:
    return {
        r["id"]: r["issue"]["fields"] | {"_updated": r["updated_ms"], "_created": r["created_ms"], "_key": r["key"]}
        for r in sim.expected("issues")
    }


def number_of(fields: Fields) -> int:
    return int(fields["_key"].rpartition("-")[2])


def in_key_order(fields: dict[str, Fields], ids: Iterable[str]) -> list[str]:
    return sorted(ids, key=lambda i: (fields[i]["project"]["key"], number_of(fields[i])))


CLAUSES = st.sampled_from(
    [
        ("project = APO", lambda f: f["project"]["key"] == "APO"),
        ("project in (APO, 'Borealis')", lambda f: f["project"]["key"] in ("APO", "BOR")),
        ("project != CIN", lambda f: f["project"]["key"] != "CIN"),
        ("status = Done", lambda f: f["status"]["name"] == "Done"),
        ("statusCategory not in (Done)", lambda f: f["status"]["statusCategory"]["key"] != "done"),
        ("assignee is EMPTY", lambda f: f["assignee"] is None),
        ("resolution = Unresolved", lambda f: f["resolution"] is None),
        ("resolution is not null", lambda f: f["resolution"] is not None),
        ("priority in (High, Highest)", lambda f: f["priority"]["name"] in ("High", "Highest")),
        ('issuetype = "Sub-task"', lambda f: f["issuetype"]["name"] == "Sub-task"),
        ("labels = backend", lambda f: "backend" in f["labels"]),
        ("labels is not EMPTY", lambda f: bool(f["labels"])),
        ("'Story Points' >= 3", lambda f: f["customfield_10016"] is not None and f["customfield_10016"] >= 3),
        ("cf[10016] is empty", lambda f: f["customfield_10016"] is None),
        ("id > APO-20", lambda f: f["project"]["key"] == "APO" and number_of(f) > 20),
        ("updated >= 1750000000000", lambda f: f["_updated"] >= 1_750_000_000_000),
        ("created < 1740000000000", lambda f: f["_created"] < 1_740_000_000_000),
        ("summary ~ ledger", lambda f: "ledger" in f["summary"].lower()),
    ]
)


@st.composite
def queries(draw: st.DrawFn, depth: int = 2) -> tuple[str, Any]:
    if depth == 0 or draw(st.booleans()):
        return draw(CLAUSES)
    left, right = draw(queries(depth=depth - 1)), draw(queries(depth=depth - 1))
    shape = draw(st.sampled_from(["and", "or", "not"]))
    if shape == "not":
        return f"NOT ({left[0]})", lambda f: not left[1](f)
    word = draw(st.sampled_from(["AND", "and", "&&"] if shape == "and" else ["OR", "or", "||"]))
    join = all if shape == "and" else any
    return f"({left[0]}) {word} ({right[0]})", lambda f: join((left[1](f), right[1](f)))


@pytest.mark.slow
@settings(
    max_examples=examples(short=25, long=60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(query=queries())
def test_any_query_finds_what_its_clauses_say(jira: Simulation, query: tuple[str, Any]) -> None:
    text, test = query
    if not hasattr(test_any_query_finds_what_its_clauses_say, "fields"):
        test_any_query_finds_what_its_clauses_say.fields = fields_of(jira)  # type: ignore[attr-defined]
    fields = test_any_query_finds_what_its_clauses_say.fields  # type: ignore[attr-defined]
    with opened(jira) as client:
        matching = [i for i, f in fields.items() if test(f | {"_id": i})]
        assert found(client, f"{text} ORDER BY id ASC") == in_key_order(fields, matching)
        assert client.post("/rest/api/3/search/approximate-count", json={"jql": text}).json()["count"] == sum(
            bool(test(f | {"_id": i})) for i, f in fields.items()
        )


def test_results_come_in_the_order_that_was_asked_for(jira: Simulation) -> None:
    fields = fields_of(jira)
    with opened(jira) as client:
        got = found(client, "project is not EMPTY ORDER BY updated DESC, id ASC")
        assert got == sorted(in_key_order(fields, fields), key=lambda i: -fields[i]["_updated"])
        for alias in ("key", "id", "issue", "issuekey"):
            got = found(client, f"project = APO ORDER BY {alias}")
            assert got == in_key_order(fields, got)
            assert got != sorted(got, key=int), "some issues were moved in or imported"
        assert found(client, "project = APO") == got[::-1]


@pytest.mark.parametrize("alias", ["key", "id", "issue", "issuekey"])
def test_an_id_in_jql_means_the_key_of_its_issue(jira: Simulation, alias: str) -> None:
    fields = fields_of(jira)
    of_project = in_key_order(fields, (i for i, f in fields.items() if f["project"]["key"] == "BOR"))
    middle = of_project[len(of_project) // 2]
    with opened(jira) as client:
        for value in (middle, fields[middle]["_key"]):
            above = found(client, f"{alias} > {value} ORDER BY key")
            assert above == of_project[len(of_project) // 2 + 1 :], "of the issue's project only, by key number"
            assert found(client, f"{alias} <= {value} ORDER BY key") == of_project[: len(of_project) // 2 + 1]
        assert found(client, f"{alias} in ({middle}, {of_project[0]})")


def test_an_issue_that_does_not_exist_matches_nothing_on_cloud_and_is_an_error_on_data_center(
    jira: Simulation, jira_dc: Simulation
) -> None:
    with opened(jira) as client, opened(jira_dc) as dc:
        for clause in ("id > 99", "id = 99", "key = APO-99999", "id in (99, 98)"):
            assert found(client, clause) == []
            answer = dc.post("/rest/api/2/search", json={"jql": clause})
            assert answer.status_code == 400
            assert "does not exist" in answer.json()["errorMessages"][0]
        known = next(iter(fields_of(jira)))
        assert found(client, f"id in ({known}, 99)") == [known]
    with simulate(issues=20, projects=1, traps=["missing-issue-400"]) as sim, opened(sim) as client:
        assert message(client, "id > 99") == "A value with ID '99' does not exist for the field 'id'."
        assert message(client, "key = APO-99") == "An issue with key 'APO-99' does not exist for field 'key'."


def test_quoted_times_are_minutes_of_the_profile_zone_and_numbers_are_epoch_milliseconds(jira: Simulation) -> None:
    fields = fields_of(jira)
    with opened(jira) as client:
        zone = ZoneInfo(client.get("/rest/api/3/myself").json()["timeZone"])
        assert zone.key == "Australia/Sydney"
        moment = sorted(f["_updated"] for f in fields.values())[200]
        wall = datetime.fromtimestamp(moment / 1000, zone)
        minute_ms = int(wall.replace(second=0, microsecond=0).timestamp() * 1000)
        since = [i for i, f in fields.items() if f["_updated"] >= minute_ms]
        assert matching(client, f'updated >= "{wall:%Y-%m-%d %H:%M}"') == since
        assert matching(client, f"updated >= '{wall:%Y/%m/%d %H:%M}'") == since
        assert matching(client, f"updated >= {moment}") == [i for i, f in fields.items() if f["_updated"] >= moment]
        assert matching(client, f"updated > {moment}") == [i for i, f in fields.items() if f["_updated"] > moment]


def test_epoch_milliseconds_can_be_cut_to_the_minute() -> None:
    with simulate(issues=100, projects=2, traps=["epoch-minutes"]) as sim, opened(sim) as client:
        fields = fields_of(sim)
        moment = max(f["_updated"] for f in fields.values() if f["_updated"] % 60_000)
        assert found(client, f"updated > {moment}") != []


def test_a_quoted_time_in_the_gap_of_the_clock_is_refused_and_one_hour_earlier_is_not() -> None:
    with simulate(issues=200, projects=2, traps=["dst-zone"]) as sim, opened(sim) as client:
        assert client.get("/rest/api/3/myself").json()["timeZone"] == "Europe/Berlin"
        assert "'updated' is invalid" in message(client, 'updated >= "2025-03-30 02:30"')
        fields = fields_of(sim)
        # 02:30 is shown twice on that night; Jira means the first.
        first = int(datetime(2025, 10, 26, 2, 30, tzinfo=ZoneInfo("Europe/Berlin")).timestamp() * 1000)
        got = matching(client, 'updated >= "2025-10-26 02:30" AND updated < "2025-10-26 03:30"')
        assert got == [i for i, f in fields.items() if first <= f["_updated"] < first + 2 * 3_600_000]
        assert got


def test_relative_dates_and_functions_use_the_servers_clock() -> None:
    with simulate(issues=100, projects=1, frozen=True) as sim, opened(sim) as client:
        fields, now = fields_of(sim), sim.now_ms()
        week = [i for i, f in fields.items() if f["_updated"] >= (now - 30 * 86_400_000) // 60_000 * 60_000]
        assert week
        assert matching(client, "updated >= -30d") == week
        assert matching(client, "updated <= now()") == list(fields)
        assert matching(client, "updated >= startOfDay()") == []
        assert matching(client, "reporter = currentUser() OR reporter != currentUser()") == list(fields)


def test_functions_give_the_ends_of_the_zones_own_days() -> None:
    now = int(datetime(2026, 3, 2, 9, 30, tzinfo=ZoneInfo("UTC")).timestamp() * 1000)
    sydney = ZoneInfo("Australia/Sydney")
    assert function_ms("startOfDay", (), now, sydney.key) == int(datetime(2026, 3, 2, tzinfo=sydney).timestamp() * 1000)
    assert function_ms("startOfMonth", ("-1d",), now, sydney.key) == int(
        datetime(2026, 2, 28, tzinfo=sydney).timestamp() * 1000
    )
    assert (
        function_ms("endOfYear", (), now, sydney.key) == int(datetime(2027, 1, 1, tzinfo=sydney).timestamp() * 1000) - 1
    )
    assert period_ms("-4w 2d") == -30 * 86_400_000
    assert period_ms("soon") is None


@pytest.mark.parametrize(
    ("jql", "words"),
    [
        ("project = NOPE", "The value 'NOPE' does not exist for the field 'project'."),
        ("colour = red", "Field 'colour' does not exist or you do not have permission to view it."),
        ('updated >= "tomorrow"', "Date value 'tomorrow' for field 'updated' is invalid."),
        ("project = APO AND", "Error in the JQL Query: Expecting a field name before the end of the query."),
        ("project APO", "Expecting operator but got 'APO'. The valid operators are '='"),
        ("project = APO status = Done", "Expecting either 'OR' or 'AND' but got 'status'. (line 1, character 15)"),
        ("summary ~ 'open", "The quoted string 'open' has not been completed. (line 1, character 11)"),
        ("project ~ APO", "The operator '~' is not supported by the 'project' field."),
        ("project in (APO", "before the end of the query"),
        ("assignee = nobodyKnows()", "Unable to find JQL function 'nobodyKnows()'."),
        ("order by updated", "Unbounded JQL queries are not allowed here."),
        ("and = 1", "'and' is a reserved JQL word."),
    ],
)
def test_mistakes_are_answered_with_400_in_jiras_words(jira: Simulation, jql: str, words: str) -> None:
    with opened(jira) as client:
        assert words in message(client, jql)


@settings(max_examples=examples(short=80, long=200), deadline=None)
@given(st.text(alphabet="abc =!<>~()\"'&|,\\1- \n", max_size=40))
def test_no_text_makes_the_parser_fail_in_another_way(text: str) -> None:
    said = "Error in the JQL Query: "
    try:
        parse(text, JQL)
    except QueryError as failure:
        said = str(failure)
    assert said.startswith("Error in the JQL Query: ")
