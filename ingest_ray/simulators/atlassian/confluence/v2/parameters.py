"""The query parameters of Confluence Cloud v2, with the values that each may have; a request with another value answers 400.

From Atlassian's OpenAPI file, https://dac-static.atlassian.com/cloud/confluence/openapi-v2.v3.json; a test compares the table with it.
In the table: `*` a list, `!` required. A parameter of the file that the simulator does not serve answers 400, too: it is never ignored.
Names that the file does not have are ignored, as Spring ignores them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

from ingest_ray.simulators.atlassian.server.routing import Call, Endpoint, Reply, RequestRefused

NOT_SERVED = frozenset(
    {
        "favorited-by",
        "get-draft",
        "height",
        "include-collaborators",
        "include-favorited-by-current-user-status",
        "include-icon",
        "include-webresources",
        "not-favorited-by",
        "width",
    }
)
MOST_LISTED = {"id": 250, "ids": 250, "keys": 250, "space-id": 100}


@dataclass(frozen=True)
class Parameter:
    """`kind` is `int`, `bool`, `text`, or the allowed values between bars."""

    name: str
    kind: str
    is_list: bool
    is_required: bool

    def fault(self, call: Call) -> str | None:
        """Why the value in the request is refused."""
        if self.name not in call.query:
            return f"Required parameter '{self.name}' is not present." if self.is_required else None
        values = call.parameters(self.name) if self.is_list else call.query[self.name]
        if self.name in NOT_SERVED and set(values) != {"false"}:
            return f"Parameter '{self.name}' is not served by this simulator."
        if self.is_list and len(values) > MOST_LISTED.get(self.name, len(values)):
            return f"Cannot provide more than {MOST_LISTED[self.name]} values for '{self.name}'."
        wrong = [value for value in values if value and not self._is_valid(value)]
        return f"Provided value {{{wrong[0]}}} for '{self.name}' is not the correct type" if wrong else None

    def _is_valid(self, value: str) -> bool:
        match self.kind:
            case "int":
                return value.removeprefix("-").isdecimal() and -(2**63) <= int(value) < 2**63
            case "bool":
                return value in ("true", "false")
            case "text":
                return True
            case allowed:
                return (value.removeprefix("-") if self.name == "sort" else value) in allowed.split("|")


def parameter_of(text: str) -> Parameter:
    name, _, kind = text.partition("=")
    return Parameter(name.rstrip("*!"), kind, "*" in name, "!" in name)


@cache
def parameters_by_path() -> Mapping[str, tuple[Parameter, ...]]:
    """By path without its names, such as `/pages/{}/labels`."""
    by_path: dict[str, tuple[Parameter, ...]] = {}
    for paths, parameters in TABLE:
        parsed = tuple(map(parameter_of, parameters.split()))
        by_path |= dict.fromkeys(paths.split(), parsed)
    return by_path


def guarded(
    parameters: tuple[Parameter, ...], endpoint: Endpoint, refuse: Callable[[int, str], RequestRefused]
) -> Endpoint:
    """The endpoint, after its parameters were checked."""

    def check(call: Call) -> Reply:
        for parameter in parameters:
            if (fault := parameter.fault(call)) is not None:
                raise refuse(400, fault)
        return endpoint(call)

    return check


TABLE = (
    (
        "/attachments /blogposts/{}/attachments /custom-content/{}/attachments /pages/{}/attachments",
        "sort=created-date|modified-date cursor=text status*=current|archived|trashed mediaType=text filename=text "
        "limit=int",
    ),
    (
        "/attachments/{}",
        "version=int include-labels=bool include-properties=bool include-operations=bool include-versions=bool "
        "include-version=bool include-collaborators=bool",
    ),
    (
        "/attachments/{}/labels /blogposts/{}/labels /custom-content/{}/labels /pages/{}/labels",
        "prefix=my|team|global|system sort=text cursor=text limit=int",
    ),
    (
        "/attachments/{}/properties /blogposts/{}/properties /custom-content/{}/properties /pages/{}/properties "
        "/whiteboards/{}/properties /databases/{}/properties /embeds/{}/properties /folders/{}/properties "
        "/comments/{}/properties",
        "key=text sort=key cursor=text limit=int",
    ),
    (
        "/attachments/{}/versions",
        "cursor=text limit=int sort=modified-date",
    ),
    (
        "/attachments/{}/footer-comments",
        "body-format=storage|atlas_doc_format cursor=text limit=int sort=created-date|modified-date version=int",
    ),
    (
        "/blogposts",
        "id*=int space-id*=int sort=id|created-date|modified-date status*=current|deleted|trashed title=text "
        "body-format=storage|atlas_doc_format cursor=text limit=int",
    ),
    (
        "/blogposts/{}",
        "body-format=storage|atlas_doc_format|view|export_view|anonymous_export_view|styled_view|editor get-draft=bool "
        "status*=current|trashed|deleted|historical|draft version=int include-labels=bool include-properties=bool "
        "include-operations=bool include-likes=bool include-versions=bool include-version=bool "
        "include-favorited-by-current-user-status=bool include-webresources=bool include-collaborators=bool",
    ),
    (
        "/blogposts/{}/custom-content /pages/{}/custom-content",
        "type!=text sort=id|created-date|modified-date|title cursor=text limit=int "
        "body-format=raw|storage|atlas_doc_format",
    ),
    (
        "/blogposts/{}/likes/users /pages/{}/likes/users /spaces/{}/permissions /space-permissions "
        "/space-permissions/transition/combinations /footer-comments/{}/likes/users /inline-comments/{}/likes/users "
        "/app/properties",
        "cursor=text limit=int",
    ),
    (
        "/blogposts/{}/versions /pages/{}/versions /footer-comments/{}/versions /inline-comments/{}/versions",
        "body-format=storage|atlas_doc_format cursor=text limit=int sort=modified-date",
    ),
    (
        "/custom-content",
        "type!=text id*=int space-id*=int sort=id|created-date|modified-date|title cursor=text limit=int "
        "body-format=raw|storage|atlas_doc_format",
    ),
    (
        "/custom-content/{}",
        "body-format=raw|storage|atlas_doc_format|view|export_view|anonymous_export_view version=int include-labels=bool "
        "include-properties=bool include-operations=bool include-versions=bool include-version=bool "
        "include-collaborators=bool",
    ),
    (
        "/custom-content/{}/footer-comments",
        "body-format=storage|atlas_doc_format cursor=text limit=int sort=created-date|modified-date",
    ),
    (
        "/labels",
        "label-id*=int prefix*=text cursor=text sort=text limit=int",
    ),
    (
        "/labels/{}/attachments",
        "sort=created-date|modified-date cursor=text limit=int",
    ),
    (
        "/labels/{}/blogposts",
        "space-id*=int body-format=storage|atlas_doc_format sort=id|created-date|modified-date cursor=text limit=int",
    ),
    (
        "/labels/{}/pages",
        "space-id*=int body-format=storage|atlas_doc_format sort=id|created-date|modified-date|title cursor=text "
        "limit=int",
    ),
    (
        "/pages",
        "id*=int space-id*=int sort=id|created-date|modified-date|title status*=current|archived|deleted|trashed "
        "title=text body-format=storage|atlas_doc_format subtype=live|page cursor=text limit=int",
    ),
    (
        "/pages/{}",
        "body-format=storage|atlas_doc_format|view|export_view|anonymous_export_view|styled_view|editor get-draft=bool "
        "status*=current|archived|trashed|deleted|historical|draft version=int include-labels=bool "
        "include-properties=bool include-operations=bool include-likes=bool include-versions=bool include-version=bool "
        "include-favorited-by-current-user-status=bool include-webresources=bool include-collaborators=bool "
        "include-direct-children=bool",
    ),
    (
        "/whiteboards/{} /databases/{} /embeds/{} /folders/{}",
        "include-collaborators=bool include-direct-children=bool include-operations=bool include-properties=bool",
    ),
    (
        "/whiteboards/{}/direct-children /databases/{}/direct-children /embeds/{}/direct-children "
        "/folders/{}/direct-children /pages/{}/children /custom-content/{}/children /pages/{}/direct-children",
        "cursor=text limit=int sort=text",
    ),
    (
        "/whiteboards/{}/descendants /databases/{}/descendants /embeds/{}/descendants /folders/{}/descendants "
        "/pages/{}/descendants",
        "limit=int depth=int cursor=text",
    ),
    (
        "/whiteboards/{}/ancestors /databases/{}/ancestors /embeds/{}/ancestors /folders/{}/ancestors /pages/{}/ancestors",
        "limit=int",
    ),
    (
        "/custom-content/{}/versions",
        "body-format=raw|storage|atlas_doc_format cursor=text limit=int sort=modified-date",
    ),
    (
        "/spaces",
        "ids*=int keys*=text type=global|collaboration|knowledge_base|personal|system|onboarding|xflow_sample_space "
        "status=current|archived labels*=text favorited-by=text not-favorited-by=text sort=id|key|name "
        "description-format=plain|view include-icon=bool cursor=text limit=int",
    ),
    (
        "/spaces/{}",
        "description-format=plain|view include-icon=bool include-operations=bool include-properties=bool "
        "include-permissions=bool include-role-assignments=bool include-labels=bool",
    ),
    (
        "/spaces/{}/blogposts",
        "sort=id|created-date|modified-date status*=current|deleted|trashed title=text "
        "body-format=storage|atlas_doc_format cursor=text limit=int",
    ),
    (
        "/spaces/{}/labels /spaces/{}/content/labels",
        "prefix=my|team sort=text cursor=text limit=int",
    ),
    (
        "/spaces/{}/custom-content",
        "type!=text cursor=text limit=int body-format=raw|storage|atlas_doc_format",
    ),
    (
        "/spaces/{}/pages",
        "depth=all|root sort=id|created-date|modified-date|title status*=current|archived|deleted|trashed title=text "
        "body-format=storage|atlas_doc_format cursor=text limit=int",
    ),
    (
        "/spaces/{}/properties",
        "key=text cursor=text limit=int",
    ),
    (
        "/space-roles",
        "space-id=text role-type=text principal-id=text principal-type=USER|GROUP|ACCESS_CLASS cursor=text limit=int",
    ),
    (
        "/spaces/{}/role-assignments",
        "role-id=text role-type=text principal-id=text principal-type=USER|GROUP|ACCESS_CLASS cursor=text limit=int",
    ),
    (
        "/pages/{}/footer-comments",
        "body-format=storage|atlas_doc_format status*=current|archived|trashed|deleted|historical|draft "
        "sort=created-date|modified-date cursor=text limit=int",
    ),
    (
        "/pages/{}/inline-comments",
        "body-format=storage|atlas_doc_format status*=current|archived|trashed|deleted|historical|draft "
        "resolution-status*=resolved|open|dangling|reopened sort=created-date|modified-date cursor=text limit=int",
    ),
    (
        "/blogposts/{}/footer-comments",
        "body-format=storage|atlas_doc_format status*=current|deleted|trashed|historical|draft "
        "sort=created-date|modified-date cursor=text limit=int",
    ),
    (
        "/blogposts/{}/inline-comments",
        "body-format=storage|atlas_doc_format status*=current|deleted|trashed|historical|draft "
        "resolution-status*=resolved|open|dangling|reopened sort=created-date|modified-date cursor=text limit=int",
    ),
    (
        "/footer-comments /footer-comments/{}/children /inline-comments /inline-comments/{}/children",
        "body-format=storage|atlas_doc_format sort=created-date|modified-date cursor=text limit=int",
    ),
    (
        "/footer-comments/{} /inline-comments/{}",
        "body-format=storage|atlas_doc_format|view|export_view|anonymous_export_view|styled_view|editor version=int "
        "include-properties=bool include-operations=bool include-likes=bool include-versions=bool include-version=bool",
    ),
    (
        "/tasks",
        "body-format=storage|atlas_doc_format include-blank-tasks=bool status=complete|incomplete task-id*=int "
        "space-id*=int page-id*=int blogpost-id*=int created-by*=text assigned-to*=text completed-by*=text "
        "created-at-from=int created-at-to=int due-at-from=int due-at-to=int completed-at-from=int completed-at-to=int "
        "cursor=text limit=int",
    ),
    (
        "/tasks/{}",
        "body-format=storage|atlas_doc_format",
    ),
    (
        "/data-policies/spaces",
        "ids*=int keys*=text sort=id|key|name cursor=text limit=int",
    ),
    (
        "/pages/{}/classification-level /blogposts/{}/classification-level",
        "status=current|draft|archived",
    ),
    (
        "/attachments/{}/thumbnail/download",
        "version=int height=int width=int",
    ),
)
