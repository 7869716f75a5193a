"""Which operations of Confluence Cloud each unit calls: its scopes, its rate limits and its points follow from them.

`GET /path/{}`, as Atlassian's OpenAPI files have it. `""`: every unit, and the collection of metadata.
"""

TREE = ("GET /wiki/api/v2/spaces/{}/pages", "GET /wiki/api/v2/spaces/{}/blogposts")
CHANGES = ("GET /wiki/rest/api/content/search", "GET /wiki/api/v2/pages", "GET /wiki/api/v2/blogposts")
READERS = (
    "GET /wiki/api/v2/spaces/{}/permissions",
    "GET /wiki/api/v2/spaces/{}/role-assignments",
    "GET /wiki/api/v2/space-roles",
    "GET /wiki/rest/api/group/{}/membersByGroupId",
)
CONTAINERS = tuple(f"GET /wiki/api/v2/{kind}/{{}}" for kind in ("folders", "whiteboards", "databases", "embeds"))
GROUPS = ("GET /wiki/rest/api/group",)
OPERATIONS: dict[str, tuple[str, ...]] = {
    "": (
        "GET /wiki/rest/api/user/current",
        "GET /wiki/api/v2/spaces",
        "GET /wiki/rest/api/search",
        "GET /wiki/rest/api/content/search",
    ),
    "confluence.page": (*TREE, *CHANGES, "GET /wiki/api/v2/pages/{}", "GET /wiki/api/v2/blogposts/{}"),
    "confluence.comment": (
        *TREE,
        *CHANGES,
        "GET /wiki/api/v2/footer-comments/{}",
        "GET /wiki/api/v2/inline-comments/{}",
    ),
    "confluence.attachment": (
        *TREE,
        *CHANGES,
        "GET /wiki/api/v2/attachments/{}",
        "GET /wiki/rest/api/content/{}/child/attachment/{}/download",
    ),
    "confluence.label": (*TREE, *CHANGES, "GET /wiki/api/v2/pages/{}/labels", "GET /wiki/api/v2/blogposts/{}/labels"),
    "confluence.revision": (
        *TREE,
        *CHANGES,
        "GET /wiki/api/v2/pages/{}/versions",
        "GET /wiki/api/v2/blogposts/{}/versions",
    ),
    "confluence.acl": (
        *TREE,
        *CHANGES,
        *READERS,
        "GET /wiki/rest/api/content/{}/restriction/byOperation/{}",
        "GET /wiki/api/v2/pages/{}",
        "GET /wiki/api/v2/blogposts/{}",
        *CONTAINERS,
    ),
    "confluence.attachment_acl": (
        *CHANGES,
        *READERS,
        "GET /wiki/rest/api/content/{}/restriction/byOperation/{}",
        "GET /wiki/api/v2/pages/{}",
        "GET /wiki/api/v2/blogposts/{}",
        *CONTAINERS,
        "GET /wiki/api/v2/attachments/{}",
    ),
    "confluence.like": (*CHANGES, "GET /wiki/api/v2/pages/{}/likes/users", "GET /wiki/api/v2/blogposts/{}/likes/users"),
    "confluence.task": ("GET /wiki/api/v2/tasks",),
    "confluence.folder": ("GET /wiki/api/v2/spaces/{}/pages", "GET /wiki/api/v2/folders/{}"),
    "confluence.whiteboard": ("GET /wiki/api/v2/spaces/{}/pages", "GET /wiki/api/v2/whiteboards/{}"),
    "confluence.database": ("GET /wiki/api/v2/spaces/{}/pages", "GET /wiki/api/v2/databases/{}"),
    "confluence.embed": ("GET /wiki/api/v2/spaces/{}/pages", "GET /wiki/api/v2/embeds/{}"),
    "confluence.custom_content": ("GET /wiki/api/v2/spaces/{}/custom-content",),
    "confluence.space_role": ("GET /wiki/api/v2/spaces/{}/role-assignments", "GET /wiki/api/v2/space-roles"),
    "confluence.group": GROUPS,
    "confluence.member": (*GROUPS, "GET /wiki/rest/api/group/{}/membersByGroupId"),
}
