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
    "confluence.acl": (*TREE, *CHANGES, *READERS, "GET /wiki/api/v2/pages/{}", "GET /wiki/api/v2/folders/{}"),
}
