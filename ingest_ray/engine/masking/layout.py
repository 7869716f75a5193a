"""What of a unit's policy its rows in the sink were made with, as one text: rows of another layout are not mixed with them."""

import json

from ingest_ray.sdk.errors import TargetChanged
from ingest_ray.sdk.types import UnitConfig
from ingest_ray.secrets.mask_key import mask_key_id, read_mask_key
from ingest_ray.settings import Settings


def layout_of(config: UnitConfig, settings: Settings, *, creates: bool = False) -> str:
    """Empty for a unit without masks. Has the id of the key where a mask needs one.

    `creates`: makes the installation's key where there is none yet. Raises what `read_mask_key` raises.
    """
    masks: dict[str, str] = dict(config.policy.masks)
    if "hmac" in masks.values():
        key_id = mask_key_id(read_mask_key(settings, creates=creates))
        masks = {name: f"{mask} {key_id}" if mask == "hmac" else mask for name, mask in masks.items()}
    return _text_of(masks)


def refuse_other_layout(loaded: str, config: UnitConfig, settings: Settings) -> None:
    """Raises `TargetChanged` where the rows in the sink were made with other masks. `loaded`: their layout."""
    has_keyed = "hmac" in loaded
    configured = layout_of(config, settings) if has_keyed else _text_of(dict(config.policy.masks))
    if loaded != configured:
        names = [name or "no masks" for name in (loaded, configured)]
        raise TargetChanged(
            f"the unit was loaded with {names[0]}, and its policy says {names[1]} now: what the target has stays as it is",
            hint="set policy.mask back; or remove the unit's table in its sink, forget the checkpoint with `ingest-ray reset`, "
            "and load again",
        )


def _text_of(masks: dict[str, str]) -> str:
    return json.dumps({"mask": masks}, sort_keys=True) if masks else ""
