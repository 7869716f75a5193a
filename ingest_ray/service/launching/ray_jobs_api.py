"""A client of a cluster's Jobs API over HTTP: submitting runs needs neither Ray nor the cluster's version of it.

https://docs.ray.io/en/latest/cluster/running-applications/job-submission/rest.html
Ray's own client (`ray.job_submission`) waits without limit for a head that is gone, has one exception for everything, and
prefers `RAY_ADDRESS` to the address that it is given.
"""

import logging
import os
import re
import ssl
import time
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import httpx
from pydantic import BaseModel, JsonValue, ValidationError

from ingest_ray import logs
from ingest_ray.sdk.errors import ClusterUnavailable, ConfigError
from ingest_ray.sdk.url_credentials import shown_url
from ingest_ray.secrets import follow, is_stored, open_url
from ingest_ray.settings import Settings

TIMEOUT = httpx.Timeout(12.0, connect=5.0)  # a busy head answers within seconds; a head that is gone never answers
TOKEN_VARIABLE = "RAY_AUTH_TOKEN"
STORE_READ_EVERY_S = 60.0  # of a store of secrets: a run asks its cluster every few seconds
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
        self._settings = settings
        verify = trusting(follow(ray.ca, "ray.ca", settings)) if ray.ca else True
        self._client = httpx.Client(base_url=url, timeout=TIMEOUT, trust_env=False, verify=verify)
        self._token = self._read_token()

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
        """Reads the token anew each time, of a store of secrets every minute, because a run outlives tokens. Nothing of a request that
        is refused was carried out."""
        reference = self._settings.ray.token
        if reference is None or not is_stored(reference) or time.monotonic() - self._token_read_at > STORE_READ_EVERY_S:
            self._token = self._read_token()
        response = self._send(method, path, body)
        if response.status_code == 401 and (fresh := self._read_token()) != self._token:  # rotated meanwhile
            self._token = fresh
            response = self._send(method, path, body)
        return response

    def _send(self, method: str, path: str, body: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        try:
            return self._client.request(method, path, json=body, headers=headers)
        except httpx.HTTPError as error:
            is_untrusted = "CERTIFICATE_VERIFY_FAILED" in str(error)
            raise ClusterUnavailable(
                f"the cluster at '{self._url}' does not answer: {type(error).__name__}"
                + (": its certificate is not trusted" if is_untrusted else ""),
                hint="ray.ca: file:/path of the authorities that its certificate is checked by"
                if is_untrusted
                else "is its head running, and is this its dashboard?",
            ) from error

    def _read_token(self) -> str | None:
        reference, self._token_read_at = self._settings.ray.token, time.monotonic()
        return follow(reference, "ray.token", self._settings) if reference else os.environ.get(TOKEN_VARIABLE)

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


def trusting(authorities: str) -> ssl.SSLContext:
    """Raises `ConfigError` for a text that is no certificate."""
    try:
        return ssl.create_default_context(cadata=authorities)
    except ssl.SSLError:
        raise ConfigError("ray.ca: it is no certificate in PEM form") from None
