"""Simulates Jira and Confluence, Cloud and Data Center, on a loopback port, including the behaviour that breaks naive readers.

    with simulate(product="jira", mode="cloud", issues=2000, projects=5, seed=7, traps=["index-lag=600"]) as sim:
        ...  # requests to sim.url as sim.user with sim.token
        sim.mutate("update", count=20, seed=1)
        for record in sim.expected("issues"):
            ...  # every field, every comment, worklog and history of one issue
        sim.stats()["too_many_requests"]

The same from a shell: `python -m ingest_ray.simulators.atlassian jira --issues 50000 --projects 20 --rate-limit 50`.

The site's content depends on the seed alone. The simulated clock starts at 2026-03-02T09:30:00Z, whatever the date is, and runs
with the machine; `serverInfo`, the `Date` header and `sim.now_ms()` show it. The account's profile is in Australia/Sydney
(JQL), the site in America/New_York (CQL), unless other zones are set.

`/__sim/stats`, `reset_stats`, `mutate`, `expected`, `traps`, `advance_clock`, `clock`, `rate_limit`, `rotate_token` and `endpoints` control the
simulator: without login, never counted, limited or faulty.

Traps are the behaviours and faults that break naive readers (`*`: on by default, because the real product behaves so; `no-NAME`
switches it off). `NAME=VALUE` sets the value, `NAME=VALUE@PART` limits a fault to paths that contain PART; for the triggers of faults
see `traps`.

    token-absent-on-last-page 1 *        Jira Cloud       no nextPageToken on the last page; off: an empty string
    fields-default            1 *        Jira Cloud       search/jql gives only `id` unless fields are asked for; off: *navigable
    inline-caps               20 *       Jira             at most 40 changelogs (Cloud), 20 worklogs, N comments (Cloud) inline
    anonymous-200             1 *        Jira Cloud       bad credentials: 200, empty list, x-seraph-loginreason; off: 401
    strict-payload            1 *        Jira Cloud       POST with an unknown property answers 400
    removed-endpoints         1 *        Jira Cloud       /search and its kin answer 410; off: they still serve
    deprecated-v1             1 *        Confluence Cloud v1 content and space answer with deprecation headers; 410 at the gateway
    dc-caps                   1000 *     Data Center      page sizes are cut without a word: Jira N, Confluence 50 / 200 / 1000
    endpoint-buckets          1 *        Cloud            the rate limit counts per endpoint and method; off: for the whole site
    compressed                1 *        both             bodies come in br or gzip, whichever the request accepts, and in chunks
    unasked-br                1          both             a proxy compresses bodies with br for a client that did not ask for it
    removed-v1                1          Confluence Cloud what `deprecated-v1` is about answers 410 on the site's host, too
    long-address-414          8192 *     both             an address of more than N bytes answers 414
    large-request-413         30         Jira Cloud       bulkfetch of more than N issues answers 413
    inexact-count             20         Jira Cloud       approximate-count is up to N % too high or too low, never 0 for some
    random-access             1          Jira             random roles, permission schemes and security levels, holders of every kind
    service-desks             2          Jira             every Nth project is a service desk: requests, request types, SLAs
    issue-errors              5          Jira Cloud       bulkfetch names N % of the issues in issueErrors instead of giving them
    search-warnings           1          Jira Cloud       answers of search/jql have `warnings`
    missing-issue-400         1          Jira Cloud       a key or id in JQL that does not exist answers 400, not no issues
    space-roles               1          Confluence Cloud spaces have roles, assigned to users, groups and classes of accounts
    anonymous-spaces          2          Data Center      every Nth space of a Confluence grants reading to everyone
    anonymous-site-off        1          Data Center      the Confluence as a whole lets no anonymous user in
    denied-403                after:0    both             403, where the account lacks a right
    denied-404                after:0    both             404, where the version lacks an endpoint
    missing-scope             after:0    Cloud            401, where the token lacks a scope
    skipped-content           at:2       Confluence       a page of a list or a search lacks its last entries, and the next, too
    skipped-issues            at:3       Jira Cloud       a page of search/jql lacks its last issues, with isLast false, and the next page, too
    short-pages               40         Jira Cloud       pages hold N % to 100 % of maxResults, before the end too
    missing-islast            1          Jira Cloud       search/jql leaves isLast out
    repeated-token            1          both             from page N + 1 on, the same token or cursor comes back for ever
    expired-token             1          both             the first N tokens or cursors that come back are refused with 400
    index-lag                 1500       both             search sees a change N seconds late (reconcileIssues sees it at once)
    epoch-minutes             1          Jira             epoch milliseconds in JQL are cut to the minute
    dst-zone                  1          Jira             profile zone Europe/Berlin, many updates around both changes of the clock; 400 in the gap
    localized                 1          both             messages are German
    permission-404            3          both             about N % of issues or pages are there, but not for this account
    forbidden-403             1          both             N projects or spaces are listed, and refuse everything else with 403
    poison-500                1          both             N records make each page that has their body answer 500, alone too
    poison-json               1          both             N records make each page that has their body undecodable JSON, alone too
    storage-500               1          Confluence       N pages answer 500 for the storage body; the view body works
    large-page-504            50         both             more than N bodies in one answer: 504
    deep-start-500            10000      Data Center      start over N answers 500
    undercounted-start        2          Confluence       `start` in the next link is N short of what was sent
    empty-next                1          Confluence       the last page has a next link, which leads to zero results
    ancestor-restrictions-404 1          Confluence       expand=ancestors.restrictions answers 404 for the whole batch
    restrictions-500          1          Confluence       expand=restrictions answers 500 for the whole batch
    failing-space             1          Confluence       N spaces answer 500 to everything that is theirs
    attachment-errors         10         Confluence       one attachment in N: 404 on content, and 400 on its page's list
    no-retry-after            1          both             429 without Retry-After, as gateways send it
    security-mid-run          at:10      Jira             five issues get a security level
    field-removed             at:10      Jira             the field customfield_10016 is removed
    too-many-requests         0.02       both             429 beyond the budget, with Retry-After
    too-many-requests-silent  0.02       both             429 beyond the budget, without Retry-After
    server-errors             burst:20:5 both             500, 502, 503 (Retry-After) and 504 in turn
    slow-responses            0.05       both             the answer takes two seconds
    truncated-bodies          0.02       both             the connection closes in mid-body
    truncated-json            0.02       both             half a JSON document, with the right Content-Length and status 200
    cut-compressed            0.02       both             a br or gzip body that ends in mid-stream, with the Content-Length of what is sent
    login-page                at:20      both             a login page: 200, text/html
    sso-redirect              at:20      Data Center      302 to the login page of single sign-on
    denied-login              at:20      both             200 and an empty list, with X-Seraph-LoginReason: AUTHENTICATION_DENIED
    node-switch               0.5        Data Center      another node answers, whose search index is 600 s behind
    expired-credentials       after:20   both             the token stops being valid
    captcha-lock              after:20   Data Center      403 with X-Seraph-LoginReason: AUTHENTICATION_DENIED
"""

from ingest_ray.simulators.atlassian.simulation import Simulation, simulate

__all__ = ["Simulation", "simulate"]
