"""The common data model: its models, the mappers that fill them, and the registry of mappers."""

from ingest_ray.cdm.mapping import CdmMapper, CdmRow, MapContext, ModelRows, Row, RowMapper
from ingest_ray.cdm.models import MODELS, CdmModel, cdm_id, hashed, is_accepted, model_of
from ingest_ray.cdm.registry import apply_cdm, find_mapper, mapper_for, register_cdm_mapper

__all__ = [
    "MODELS",
    "CdmMapper",
    "CdmModel",
    "CdmRow",
    "MapContext",
    "ModelRows",
    "Row",
    "RowMapper",
    "apply_cdm",
    "cdm_id",
    "find_mapper",
    "hashed",
    "is_accepted",
    "mapper_for",
    "model_of",
    "register_cdm_mapper",
]
