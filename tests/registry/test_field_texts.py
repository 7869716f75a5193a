"""What `templates` says of a field is the text under it in the source, as Pydantic's `use_attribute_docstrings` reads it."""

from pydantic import BaseModel, ConfigDict

from ingest_ray.registry import sink_family, strategy_for
from ingest_ray.service.endpoints.templates import texts_of_fields


class Parent(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)

    first: int = 0
    """Of the parent."""
    second: str | None = None
    third: int = 3
    """Two lines
    of text."""


class Child(Parent):
    second: str | None = None
    """Of the child."""
    fourth: int = 4

    @property
    def size(self) -> int:
        """Of no field."""
        return 0


def test_texts_are_those_of_pydantic() -> None:
    for kind in (Parent, Child):
        assert texts_of_fields(kind) == {
            name: field.description for name, field in kind.model_fields.items() if field.description
        }


def test_templates_have_texts_of_what_they_extend() -> None:
    assert "include" in texts_of_fields(strategy_for("jdbc.postgres").descriptor.config_model)
    assert "storage_options" in texts_of_fields(sink_family("lake.delta").descriptor.config_model)


def test_a_class_without_a_source_has_no_texts() -> None:
    made = type("Made", (BaseModel,), {"__annotations__": {"a": int}})
    assert texts_of_fields(made) == {}
