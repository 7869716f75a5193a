"""Who may read which issue: project roles, permission schemes and security levels, and the truth that follows from them.

An account reads an issue when a holder of Browse Projects in the project's permission scheme is the account, and, where the issue has a
security level, a member of that level, too.
https://support.atlassian.com/jira-cloud-administration/docs/configure-issue-security-schemes/
"""

from dataclasses import dataclass, field

from ingest_ray.simulators.atlassian.content.people import Group, Person
from ingest_ray.simulators.atlassian.content.seeded_draws import SeededDraws
from ingest_ray.simulators.atlassian.jira.issue import Comment, Issue
from ingest_ray.simulators.atlassian.jira.site_configuration import FieldSpec, Named, SiteConfiguration

ROLES = ((10_002, "Administrators"), (10_003, "Developers"), (10_004, "Viewers"))
APPLICATIONS = {"jira-software": ("users", "developers"), "jira-servicedesk": ("support",)}
"""Key of an application -> the groups with access to it."""
REVIEWERS, APPROVER, AUDIENCE = "customfield_10023", "customfield_10030", "customfield_10040"
_RANDOM_LEVELS = 5
_RANDOM_SCHEMES = 6


@dataclass(frozen=True, slots=True)
class Holder:
    """`kind` is a type of https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-permission-schemes/ (Holder object).
    `parameter`: index of a person or group, id of a role or field, key of an application."""

    kind: str
    parameter: str = ""


ADMINISTRATORS = Holder("group", "0")
"""The account of the simulator's token is among them."""


@dataclass(slots=True)
class AccessRules:
    """`actors`: persons and groups by project and role. `levels`: by index of the security level."""

    configuration: SiteConfiguration
    people: list[Person]
    groups: list[Group]
    actors: dict[tuple[int, int], tuple[list[int], list[int]]] = field(default_factory=dict)
    schemes: list[tuple[Holder, ...]] = field(default_factory=lambda: [(Holder("applicationRole"),)])
    levels: list[tuple[Holder, ...]] = field(default_factory=lambda: [(Holder("group", "1"),), (Holder("group", "4"),)])

    def actors_of(self, project: int, role: int) -> tuple[list[int], list[int]]:
        lead = self.configuration.projects[project].lead
        return self.actors.get((project, role), ([lead], [role - ROLES[0][0]]))

    def scheme_of(self, project: int) -> int:
        return project % len(self.schemes)

    def in_group(self, person: int, group: int) -> bool:
        return group < len(self.groups) and person in self.groups[group].members

    def in_role(self, person: int, project: int, role: int) -> bool:
        users, groups = self.actors_of(project, role)
        return person in users or any(self.in_group(person, group) for group in groups)

    def holds(self, holder: Holder, person: int, issue: Issue) -> bool:
        parameter = holder.parameter
        match holder.kind:
            case "anyone":
                return True
            case "applicationRole":
                names = APPLICATIONS.get(parameter, ())
                return not parameter or any(g.name in names and person in g.members for g in self.groups)
            case "group":
                return self.in_group(person, int(parameter))
            case "user":
                return person == int(parameter)
            case "projectRole":
                return self.in_role(person, issue.project, int(parameter))
            case "reporter":
                return person == issue.reporter
            case "assignee":
                return person == issue.assignee
            case "projectLead":
                return person == self.configuration.projects[issue.project].lead
            case "userCustomField":
                return person in field_people(issue, parameter, len(self.people))
            case "groupCustomField":
                return any(self.in_group(person, group) for group in field_groups(issue))
            case _:  # sd.customer.portal.only: customers see requests in the portal, and no issue
                return False

    def may_read(self, person: int, issue: Issue) -> bool:
        if not any(self.holds(h, person, issue) for h in self.schemes[self.scheme_of(issue.project)]):
            return False
        return issue.security < 0 or any(self.holds(h, person, issue) for h in self.levels[issue.security])

    def may_read_comment(self, person: int, issue: Issue, comment: Comment) -> bool:
        if not self.may_read(person, issue):
            return False
        return not comment.visibility or self.in_role(person, issue.project, ROLES[0][0])

    def is_public(self, issue: Issue) -> bool:
        return issue.security < 0 and Holder("anyone") in self.schemes[self.scheme_of(issue.project)]


def field_people(issue: Issue, field_id: str, people: int) -> list[int]:
    """The persons in a custom field of an issue, as the renderer shows them."""
    if field_id == REVIEWERS and issue.id % 6 == 0:
        return [issue.id % people, (issue.id + 7) % people]
    return [issue.id % people] if field_id == APPROVER and issue.id % 10 == 4 else []


def field_groups(issue: Issue) -> list[int]:
    return [issue.id % 4] if issue.id % 3 == 1 else []


def randomize(rules: AccessRules, draws: SeededDraws, issues: list[Issue]) -> None:
    """Random schemes, roles and levels with holders of every kind. The administrators are in all of them."""
    configuration = rules.configuration
    configuration.fields.append(
        FieldSpec(
            AUDIENCE,
            "Audience",
            {"type": "array", "items": "group", "custom": "x:multigrouppicker", "customId": 10_040},
        )
    )
    rules.schemes = [_holders(rules, draws, b"scheme", number, 3) for number in range(_RANDOM_SCHEMES)]
    rules.schemes[0] = (*rules.schemes[0], Holder("anyone"))
    rules.schemes[1] = (*rules.schemes[1], Holder("applicationRole"))
    for number in range(_RANDOM_LEVELS):
        configuration.security.append(Named(str(10_102 + number), f"Level {number}"))
        rules.levels.append(_holders(rules, draws, b"level", number, 2))
    for project in configuration.projects:
        for role, _ in ROLES:
            d = draws(b"role-%d" % role, project.index)
            users = [d[n] % len(rules.people) for n in range(d[5] % 4)]
            rules.actors[project.index, role] = users, [d[6 + n] % len(rules.groups) for n in range(d[9] % 3)]
    for issue in issues:
        d = draws(b"random-level", issue.id)
        if not issue.hidden and d[0] % 3 == 0:
            issue.security = (0, *range(2, 2 + _RANDOM_LEVELS))[d[1] % (1 + _RANDOM_LEVELS)]


def _holders(rules: AccessRules, draws: SeededDraws, kind: bytes, number: int, most: int) -> tuple[Holder, ...]:
    d = draws(kind, number)
    groups, people = len(rules.groups), len(rules.people)
    choices = (
        lambda x: Holder("group", str(x % groups)),
        lambda x: Holder("user", str(x % people)),
        lambda x: Holder("projectRole", str(ROLES[x % 3][0])),
        lambda x: Holder("reporter"),
        lambda x: Holder("assignee"),
        lambda x: Holder("projectLead"),
        lambda x: Holder("userCustomField", (REVIEWERS, APPROVER)[x % 2]),
        lambda x: Holder("groupCustomField", AUDIENCE),
        lambda x: Holder("applicationRole", tuple(APPLICATIONS)[x % 2]),
        lambda x: Holder("sd.customer.portal.only"),
    )
    wanted = [choices[d[n] % len(choices)](d[8 - n]) for n in range(1 + d[9] % most)]
    return tuple(dict.fromkeys([ADMINISTRATORS, *wanted]))
