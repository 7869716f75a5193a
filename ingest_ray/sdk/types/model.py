"""The frozen pydantic model that every type of this package extends."""

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)  # a command uses few of the models
