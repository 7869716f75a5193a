"""A client of a cluster's Jobs API over HTTP: submitting runs needs neither Ray nor the cluster's version of it.

https://docs.ray.io/en/latest/cluster/running-applications/job-submission/rest.html
Ray's own client (`ray.job_submission`) waits without limit for a head that is gone, has one exception for everything, and
prefers `RAY_ADDRESS` to the address that it is given.
"""

import logging
import os
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import httpx
from pydantic import BaseModel, JsonValue, ValidationError

from ingest_ray import logs
from ingest_ray.sdk.errors import ClusterUnavailable, ConfigError
from ingest_ray.sdk.url_credentials import shown_url
from ingest_ray.secrets import follow, open_url
from ingest_ray.settings import Settings

TIMEOUT = httpx.Timeout(12.0, connect=5.0)  # a busy head answers within seconds; a head that is gone never answers
TOKEN_VARIABLE = "RAY_AUTH_TOKEN"
_MOST_QUOTED = 500  # characters of an unexpected answer that an error quotes

logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for every request about a job is noise


class RayJobState(StrEnum):
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    STOPPED = "STOPPED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"

    @property
    def is_over(self) -> bool:
        return self in (RayJobState.STOPPED, RayJobState.SUCCEEDED, RayJobState.FAILED)


class RayJob(BaseModel):
    """The fields of a job that are used; the cluster's answer has more, and newer versions add others."""

    submission_id: str
    status: RayJobState
    message: str | None = None
    driver_exit_code: int | None = None


class RayJobsClient:
    """All methods raise `ClusterUnavailable` where the cluster does not answer, or answers that it cannot."""

    def __init__(self, settings: Settings) -> None:
        ray = settings.ray
        if ray.jobs_url is None:
            raise ConfigError(
                "no cluster to submit to: ray.jobs_url is not set", hint="ray: {jobs_url: http://head:8265}"
            )
        url = open_url(ray.jobs_url, settings, "ray.jobs_url").rstrip("/")
        self._url = shown_url(url)
        token = follow(ray.token, "ray.token", settings) if ray.token else os.environ.get(TOKEN_VARIABLE)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._client = httpx.Client(base_url=url, headers=headers, timeout=TIMEOUT, trust_env=False)

    def __enter__(self) -> "RayJobsClient":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def find(self, submission_id: str) -> RayJob | None:
        response = self._request("GET", f"/api/jobs/{submission_id}")
        if response.status_code == 404:
            return None
        try:
            return RayJob.model_validate_json(self._checked_response(response).content)
        except ValidationError as error:
            raise ClusterUnavailable(f"'{self._url}' is no Jobs API: {error.errors()[0]['msg']}") from None

    def submit(
        self, submission_id: str, entrypoint: str, runtime_env: Mapping[str, JsonValue], metadata: Mapping[str, str]
    ) -> None:
        """Submitting an id again changes nothing, also where the first answer was lost."""
        job = {"submission_id": submission_id, "entrypoint": entrypoint}
        response = self._request(
            "POST", "/api/jobs/", {**job, "runtime_env": dict(runtime_env), "metadata": dict(metadata)}
        )
        if response.status_code >= 400 and self.find(submission_id) is not None:
            return
        self._checked_response(response)

    def stop(self, submission_id: str) -> None:
        """Sends SIGTERM; Ray kills the job after `RAY_JOB_STOP_WAIT_TIME_S`. Does nothing for a job that is over."""
        response = self._request("POST", f"/api/jobs/{submission_id}/stop")
        if response.status_code != 404:
            self._checked_response(response)

    def _request(self, method: str, path: str, body: Any = None) -> httpx.Response:
        try:
            return self._client.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise ClusterUnavailable(
                f"the cluster at '{self._url}' does not answer: {type(error).__name__}",
                hint="is its head running, and is this its dashboard?",
            ) from error

    def _checked_response(self, response: httpx.Response) -> httpx.Response:
        if response.status_code in (401, 403):
            raise ConfigError(
                f"the cluster at '{self._url}' refuses: {response.status_code}",
                hint="ray.token, or RAY_AUTH_TOKEN, must be its token",
            )
        if response.status_code >= 300:
            text = re.sub(r"\s+", " ", response.text.strip())[-_MOST_QUOTED:]
            raise ClusterUnavailable(
                f"the cluster at '{self._url}' answers {response.status_code}: {logs.scrub(text)}",
                hint="see the dashboard's log on the head",
            )
        return response
