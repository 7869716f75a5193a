"""What of a unit's policy its rows in the sink were made with, as one text: rows of another layout are not mixed with them."""

import json

from ingest_ray.sdk.errors import TargetChanged
from ingest_ray.sdk.types import UnitConfig
from ingest_ray.secrets.mask_key import mask_key_id, read_mask_key
from ingest_ray.settings import Settings


def layout_of(config: UnitConfig, settings: Settings, *, creates: bool = False) -> str:
    """Empty for a unit without masks and other names. Has the id of the key where a mask needs one.

    `creates`: makes the installation's key where there is none yet. Raises what `read_mask_key` raises.
    """
    masks: dict[str, str] = dict(config.policy.masks)
    if "hmac" in masks.values():
        key_id = mask_key_id(read_mask_key(settings, creates=creates))
        masks = {name: f"{mask} {key_id}" if mask == "hmac" else mask for name, mask in masks.items()}
    return _text_of(masks, config.policy.renames)


def refuse_other_layout(loaded: str, config: UnitConfig, settings: Settings) -> None:
    """Raises `TargetChanged` where the rows in the sink were made with other masks or names. `loaded`: their layout."""
    has_keyed = "hmac" in loaded
    configured = (
        layout_of(config, settings) if has_keyed else _text_of(dict(config.policy.masks), config.policy.renames)
    )
    if loaded != configured:
        names = [name or "no masks and no other names" for name in (loaded, configured)]
        raise TargetChanged(
            f"the unit was loaded with {names[0]}, and its policy says {names[1]} now: what the target has stays as it is",
            hint="set policy.mask and policy.rename back; or remove the unit's table in its sink, forget the checkpoint with `ingest-ray reset`, "
            "and load again",
        )


def _text_of(masks: dict[str, str], renames: dict[str, str]) -> str:
    parts = {name: part for name, part in (("mask", masks), ("rename", renames)) if part}
    return json.dumps(parts, sort_keys=True) if parts else ""
