"""The configuration of a Jira site: projects, types, statuses, priorities, resolutions, security levels, and the list of fields."""

from dataclasses import dataclass, field
from typing import Any

from ingest_ray.simulators.atlassian.content.seeded_draws import SeededDraws, pick

_NAMES = [
    "Apollo",
    "Borealis",
    "Cinder",
    "Drift",
    "Ember",
    "Fathom",
    "Glacier",
    "Halcyon",
    "Indigo",
    "Juniper",
    "Kestrel",
    "Lumen",
    "Meridian",
    "Nimbus",
    "Onyx",
    "Pinion",
    "Quartz",
    "Rowan",
    "Solstice",
    "Tundra",
    "Umbra",
    "Vertex",
    "Willow",
    "Xenon",
    "Yonder",
    "Zephyr",
]


@dataclass(slots=True)
class Named:
    id: str
    name: str
    description: str = ""


@dataclass(slots=True)
class Status(Named):
    category: int = 2

    @property
    def category_key(self) -> str:
        return {2: "new", 3: "done", 4: "indeterminate", 1: "undefined"}[self.category]


@dataclass(slots=True)
class IssueType(Named):
    subtask: bool = False
    level: int = 0


@dataclass(slots=True)
class Project:
    index: int
    id: str
    key: str
    name: str
    lead: int
    style: str = "classic"
    kind: str = "software"
    archived: bool = False
    deleted: bool = False
    forbidden: bool = False
    components: list[Named] = field(default_factory=list)
    versions: list[Named] = field(default_factory=list)


@dataclass(slots=True)
class FieldSpec:
    """A field as `/field` lists it."""

    id: str
    name: str
    schema: dict[str, Any] | None
    clauses: tuple[str, ...] = ()
    navigable: bool = True
    cloud_only: bool = False

    @property
    def custom(self) -> bool:
        return self.id.startswith("customfield_")

    @property
    def clause_names(self) -> list[str]:
        if self.custom:
            return [f"cf[{self.id[12:]}]", self.name]
        return list(self.clauses)


def _system(name: str, label: str, kind: str, clauses: str = "", items: str = "", **extra: bool) -> FieldSpec:
    schema = {"type": kind, "system": name} | ({"items": items} if items else {})
    return FieldSpec(name, label, schema, tuple((clauses or name).split()), **extra)


def _custom(number: int, label: str, kind: str, custom: str, items: str = "") -> FieldSpec:
    schema: dict[str, Any] = {"type": kind} | ({"items": items} if items else {})
    plugin = (
        "com.pyxis.greenhopper.jira:"
        if custom.startswith("gh-")
        else "com.atlassian.jira.plugin.system.customfieldtypes:"
    )
    return FieldSpec(f"customfield_{number}", label, schema | {"custom": plugin + custom, "customId": number})


def field_specs() -> list[FieldSpec]:
    return [*_issue_fields(), *_activity_fields(), *_custom_fields()]


def _issue_fields() -> list[FieldSpec]:
    return [
        FieldSpec("issuekey", "Key", None, ("id", "issue", "issuekey", "key")),
        _system("summary", "Summary", "string"),
        _system("issuetype", "Issue Type", "issuetype", "issuetype type"),
        _system("project", "Project", "project"),
        _system("status", "Status", "status"),
        _system("statusCategory", "Status Category", "statusCategory", "statusCategory", cloud_only=True),
        _system(
            "statuscategorychangedate",
            "Status Category Changed",
            "datetime",
            "statusCategoryChangedDate",
            cloud_only=True,
        ),
        _system("priority", "Priority", "priority"),
        _system("resolution", "Resolution", "resolution"),
        _system("resolutiondate", "Resolved", "datetime", "resolutiondate resolved"),
        _system("created", "Created", "datetime", "created createdDate"),
        _system("updated", "Updated", "datetime", "updated updatedDate"),
        _system("creator", "Creator", "user"),
        _system("reporter", "Reporter", "user"),
        _system("assignee", "Assignee", "user"),
        _system("labels", "Labels", "array", items="string"),
        _system("components", "Components", "array", "component", items="component"),
        _system("fixVersions", "Fix versions", "array", "fixVersion", items="version"),
        _system("versions", "Affects versions", "array", "affectedVersion", items="version"),
        _system("description", "Description", "string"),
        _system("environment", "Environment", "string"),
        _system("duedate", "Due date", "date", "due duedate"),
        _system("security", "Security Level", "securitylevel", "level"),
    ]


def _activity_fields() -> list[FieldSpec]:
    """Relations, discussion and time."""
    return [
        FieldSpec("parent", "Parent", None, ("parent",), cloud_only=True),
        _system("subtasks", "Sub-tasks", "array", "subtasks", items="issuelinks"),
        _system("issuelinks", "Linked Issues", "array", "issueLink", items="issuelinks"),
        _system("attachment", "Attachment", "array", "attachments", items="attachment", navigable=False),
        _system("comment", "Comment", "comments-page", navigable=False),
        _system("worklog", "Log Work", "array", items="worklog", navigable=False),
        _system("timetracking", "Time tracking", "timetracking", navigable=False),
        _system("timespent", "Time Spent", "number", "timespent"),
        _system("timeestimate", "Remaining Estimate", "number", "remainingEstimate"),
        _system("timeoriginalestimate", "Original estimate", "number", "originalEstimate"),
        _system("votes", "Votes", "votes"),
        _system("watches", "Watchers", "watches", "watchers"),
        _system("workratio", "Work Ratio", "number"),
    ]


def _custom_fields() -> list[FieldSpec]:
    """Two share the display name Severity, and one has the display name of a system field."""
    return [
        _custom(10010, "Sprint", "array", "gh-sprint", "json"),
        _custom(10016, "Story Points", "number", "float"),
        _custom(10020, "Severity", "option", "select"),
        _custom(10021, "Severity", "string", "textfield"),
        _custom(10022, "Root cause", "string", "textarea"),
        _custom(10023, "Reviewers", "array", "multiuserpicker", "user"),
        _custom(10024, "Target date", "date", "datepicker"),
        _custom(10025, "First seen", "datetime", "datetime"),
        _custom(10026, "Area", "option-with-child", "cascadingselect"),
        _custom(10027, "Customers", "array", "multiselect", "option"),
        _custom(10028, "Labels", "array", "labels", "string"),
        _custom(10029, "Ticket number", "number", "float"),
        _custom(10030, "Approver", "user", "userpicker"),
        _custom(10031, "Never used", "string", "textfield"),
    ]


@dataclass(slots=True)
class SiteConfiguration:
    projects: list[Project]
    types: list[IssueType]
    statuses: list[Status]
    priorities: list[Named]
    resolutions: list[Named]
    labels: list[str]
    security: list[Named]
    fields: list[FieldSpec]

    def project(self, id_or_key: str) -> Project | None:
        for project in self.projects:
            if id_or_key in (project.id, project.key):
                return project
        return None


def make_projects(draws: SeededDraws, count: int, people: int) -> list[Project]:
    projects = []
    for index in range(count):
        round_, name_index = divmod(index, len(_NAMES))
        name = pick(_NAMES, name_index) + (f" {round_ + 1}" if round_ else "")
        key = _NAMES[name_index][:3].upper() + (str(round_ + 1) if round_ else "")
        lead = draws(b"project", index)[0] % people
        project = Project(index, str(10_000 + index), key, name, lead, "next-gen" if index % 4 == 3 else "classic")
        project.components = [Named(str(20_000 + index * 10 + n), c) for n, c in enumerate(("API", "Web", "Importer"))]
        project.versions = [Named(str(30_000 + index * 10 + n), f"{n + 1}.0") for n in range(4)]
        projects.append(project)
    return projects


def make_configuration(draws: SeededDraws, projects: int, people: int) -> SiteConfiguration:
    return SiteConfiguration(
        projects=make_projects(draws, projects, people),
        types=[
            IssueType("10000", "Epic", "A large piece of work.", level=1),
            IssueType("10001", "Story", "What a user wants."),
            IssueType("10002", "Task", "Something that must be done."),
            IssueType("10004", "Bug", "Something that is wrong."),
            IssueType("10003", "Sub-task", "A part of an issue.", subtask=True, level=-1),
        ],
        statuses=[
            Status("10000", "To Do", "", 2),
            Status("3", "In Progress", "Work has begun.", 4),
            Status("10001", "In Review", "", 4),
            Status("10002", "Done", "", 3),
            Status("10003", "Won't Do", "", 3),
        ],
        priorities=[Named(str(n + 1), name) for n, name in enumerate(("Highest", "High", "Medium", "Low", "Lowest"))],
        resolutions=[
            Named("10000", "Done"),
            Named("10001", "Won't Do"),
            Named("10002", "Duplicate"),
            Named("10003", "Declined"),
        ],
        labels=[
            "backend",
            "quick-win",
            "needs:triage",
            "customer",
            "übersicht",
            "flaky-test",
            "2026",
            "security",
            "a11y",
        ],
        security=[Named("10100", "Staff", "Everybody here"), Named("10101", "Board only", "Not this account")],
        fields=field_specs(),
    )
