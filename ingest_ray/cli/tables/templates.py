"""What `templates` shows."""

from collections.abc import Sequence
from typing import TextIO

from ingest_ray.cli.tables.layout import console_on, table_of
from ingest_ray.service.endpoints.templates import BrokenTemplate, Template, TemplateField


def show_templates(templates: Sequence[Template], broken: Sequence[BrokenTemplate], out: TextIO) -> None:
    table = table_of("template", "role", "what")
    for template in templates:
        table.add_row(template.template_id, template.role, template.title)
    console = console_on(out)
    console.print(table)
    for each in broken:
        console.print(f"cannot be used: {each.template_id} ({each.role}): {each.error}", style="red")
        if each.hint:
            console.print(f"  hint: {each.hint}")
    console.print("the options of one: ingest-ray templates NAME")


def show_template(template: Template, out: TextIO) -> None:
    console = console_on(out)
    console.print(f"{template.template_id}: {template.title} ({template.role})", style="bold")
    console.print(template.description)
    table = table_of("option", "type", "default", "what")
    for field in template.fields:
        table.add_row(field.key, _type_text(field), _default_text(field), field.description or "")
    console.print(table)
    section = "sources" if template.role == "source" else "sinks"
    console.print(f"\nas an entry of {'endpoints' if section == 'sources' else 'sinks'} in ingest.yaml:")
    config = ", ".join(f"{key}: {_yaml_text(value)}" for key, value in template.sample_config.items())
    name = "shop" if template.role == "source" else "lake"
    console.print(f"  - {{id: {name}, template: {template.template_id}, config: {{{config}}}}}", soft_wrap=True)
    if template.docs_url:
        console.print(f"\n{template.docs_url}", soft_wrap=True)


def _type_text(field: TemplateField) -> str:
    if field.sensitive:
        return "secret"
    return " | ".join(field.choices) if field.choices else field.value_type.lower()


def _default_text(field: TemplateField) -> str:
    return "required" if field.required else field.default_value or "-"


def _yaml_text(value: object) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_yaml_text, value))}]"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f'"{text}"' if isinstance(value, str) and any(sign in text for sign in ":#{}[],&*?@") else text
