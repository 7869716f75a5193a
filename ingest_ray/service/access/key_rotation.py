"""Rotates the key that seals stored secrets.

    key file    new and old key -> everything sealed again with the new one -> new key only
    INGEST_SECRET_KEY=new,old   -> everything sealed again with the first; then the old one can be left out

A crash in between loses nothing: either key opens what it has sealed, and a second rotation continues.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pydantic import JsonValue

from ingest_ray.catalog import endpoints, run_records
from ingest_ray.config import SETTINGS
from ingest_ray.config.settings_secrets import map_sealable
from ingest_ray.process.failpoints import reached
from ingest_ray.sdk.errors import EndpointInUse
from ingest_ray.sdk.types import Model
from ingest_ray.secrets.keyring import KeyFile, Keyring
from ingest_ray.secrets.mask_key import reseal_mask_key
from ingest_ray.secrets.sealing import SEALED, SECRET
from ingest_ray.service.endpoints.apply import write_text
from ingest_ray.service.installation import Installation
from ingest_ray.service.runs.run_liveness import is_run_alive
from ingest_ray.settings import Settings
from ingest_ray.state.sealed_secrets import reseal


class RotationResult(Model):
    """`sealed`: the number of secrets that the new key sealed."""

    key_from: Literal["file", "environment"]
    sealed: int


def rotate_key(installation: Installation) -> RotationResult:
    """Raises `EndpointInUse` while runs are live: they hold secrets that the old key has sealed."""
    file = KeyFile(installation.settings)
    with installation.catalog.begin(is_alone=True) as connection:
        live = [record for record in run_records.running(connection) if is_run_alive(connection, installation, record)]
        if live:
            raise EndpointInUse(
                f"{len(live)} run(s) go on, such as '{live[0].summary.run_id}'", hint="wait for them, or pause them"
            )
        if not file.is_overruled:
            file.add_new()
        reached("rotate:after-new-key")
        keys = Keyring(installation.settings, creates=False)
        count = 0

        def resealed(token: str) -> str:
            nonlocal count
            count += 1
            return keys.reseal(token)

        endpoints.erase_deleted_configs(connection)
        for entry in endpoints.listed(connection):
            config = {name: _resealed_secrets(value, resealed) for name, value in entry.endpoint.config.items()}
            if config != entry.endpoint.config:
                endpoint = entry.endpoint.model_copy(update={"config": config})
                endpoints.save(connection, entry.model_copy(update={"endpoint": endpoint}))
        reseal_mask_key(installation.settings, resealed)
        _rewrite_settings(Path(installation.settings.home) / SETTINGS, resealed)
        reached("rotate:before-commit")
    count += reseal(installation.kv, keys)  # the store may be the same SQLite file: not in the catalog's transaction
    reached("rotate:after-commit")
    if not file.is_overruled:
        file.drop_old()
    return RotationResult(key_from="environment" if file.is_overruled else "file", sealed=count)


def _resealed_secrets(value: JsonValue, resealed: Callable[[str], str]) -> JsonValue:
    if isinstance(value, dict):
        return {
            name: resealed(item) if name == SECRET and isinstance(item, str) else _resealed_secrets(item, resealed)
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [_resealed_secrets(item, resealed) for item in value]
    return value


def _rewrite_settings(file: Path, resealed: Callable[[str], str]) -> None:
    """Seals URLs with a password again."""
    if not file.is_file():
        return
    old = Settings.model_validate_json(file.read_bytes())
    new = map_sealable(old, lambda url: SEALED + resealed(url.removeprefix(SEALED)) if url.startswith(SEALED) else url)
    if new != old:
        write_text(file, new.model_dump_json(indent=2) + "\n")
