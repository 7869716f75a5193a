import pytest

from ingest_ray.http import rate_limit_headers


@pytest.mark.parametrize(
    ("status", "headers", "wait_s", "rate"),
    [
        (200, {}, None, None),
        (200, {"ratelimit-policy": '"jira-burst-based";q=100;w=1'}, None, 100.0),
        (200, {"ratelimit-policy": '"a";q=65000;w=3600, "b";q=10;w=1'}, None, 10.0),
        (200, {"ratelimit-policy": "tenant-app-quota;q=100100;w=3600"}, None, None),
        (200, {"ratelimit-policy": "global-app-quota;q=65000;w=3600, burst;q=100;w=1"}, None, 100.0),
        (200, {"ratelimit": '"tenant-app-quota";r=0;t=2788, "jira-burst-based";r=97;t=1'}, 2788.0, None),
        (200, {"ratelimit": '"jira-burst-based";r=0;t=1'}, None, None),
        (429, {"ratelimit": '"jira-burst-based";r=0;t=1'}, 1.0, None),
        (429, {"ratelimit": "tenant-app-quota;r=0;t=2788", "retry-after": "5"}, 2788.0, None),
        (200, {"beta-ratelimit-policy": '"jira-burst-based";q=1;w=1'}, None, None),
        (200, {"x-ratelimit-limit": "350", "x-ratelimit-remaining": "349"}, None, None),
        (200, {"x-ratelimit-fillrate": "10", "x-ratelimit-interval-seconds": "5", "retry-after": "0"}, None, 2.0),
        (429, {"retry-after": "17"}, 17.0, None),
        (429, {"date": "Mon, 02 Mar 2026 09:30:00 GMT", "x-ratelimit-reset": "2026-03-02T09:30:40Z"}, 40.0, None),
        (429, {"date": "Mon, 02 Mar 2026 09:30:00 GMT", "retry-after": "Mon, 02 Mar 2026 09:31:00 GMT"}, 60.0, None),
        (
            200,
            {
                "date": "Mon, 02 Mar 2026 09:30:00 GMT",
                "x-ratelimit-remaining": "0",
                "x-ratelimit-reset": "2026-03-02T10:00:00+00:00",
            },
            1800.0,
            None,
        ),
        (503, {"retry-after": "soon"}, None, None),
        (429, {"x-ratelimit-reset": "2026-03-02T09:30:40Z"}, None, None),
    ],
)
def test_limits_are_read_from_headers_and_measured_by_the_servers_clock(
    status: int, headers: dict[str, str], wait_s: float | None, rate: float | None
) -> None:
    signal = rate_limit_headers.read(status, headers)
    assert (signal.wait_s, signal.rate) == (wait_s, rate)
    assert signal.is_refused is (status in (429, 503))
