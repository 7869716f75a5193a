"""IAM tokens of Amazon RDS and Aurora: a signature, made without a request, that a new connection may use for 15 minutes.

https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.Connecting.html
"""

import re
import threading
from collections.abc import Mapping
from typing import Any

import botocore.session
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from pydantic import JsonValue

from ingest_ray.sdk.contracts import LoginRequest
from ingest_ray.sdk.errors import ConfigError, SecretUnavailable

_REGION = re.compile(r"\.([a-z]{2}(?:-[a-z]+)+-\d)\.rds\.amazonaws\.com(?:\.cn)?$")


class RdsLogin:
    """Options: `region`, else that of the host's name, else the environment's; `profile` of AWS's configuration."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clients: dict[tuple[str | None, str | None], Any] = {}

    def check(self, options: Mapping[str, JsonValue]) -> None:
        return

    def mint(self, request: LoginRequest) -> str:
        in_name = _REGION.search(request.host.lower())
        region = request.options.get("region") or (in_name.group(1) if in_name else None)
        profile = request.options.get("profile")
        try:
            client = self._client(str(region) if region else None, str(profile) if profile else None)
            token: str = client.generate_db_auth_token(
                DBHostname=request.host, Port=request.port, DBUsername=request.user
            )
        except (HTTPClientError, ClientError) as error:  # of the service that has the machine's login
            raise SecretUnavailable(f"AWS does not answer: {type(error).__name__}") from None
        except BotoCoreError as error:
            raise ConfigError(
                f"AWS cannot sign: {error}", hint="set AWS_REGION and a login, as for the AWS command line"
            ) from None
        return token

    def _client(self, region: str | None, profile: str | None) -> Any:
        with self._lock:
            if (region, profile) not in self._clients:
                session = botocore.session.Session(profile=profile)
                self._clients[region, profile] = session.create_client("rds", region_name=region)
            return self._clients[region, profile]
