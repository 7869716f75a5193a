"""The answers of faults: what proxies, login filters and busy nodes send in place of data."""

from collections.abc import Callable

from ingest_ray.simulators.atlassian.server.routing import Call, Reply, problem, reply

LOGIN_PAGE = (
    b"<!DOCTYPE html><html><head><title>Log in</title></head><body><form action='/login.jsp' method='post'>"
    b"<input name='os_username'><input name='os_password' type='password'></form></body></html>"
)
HTML = "text/html;charset=UTF-8"
TOO_MANY_PAGE = (
    b'<!doctype html><html lang="en"><head><title>HTTP Status 429 Too Many Requests</title></head><body>'
    b"<h1>HTTP Status 429 Too Many Requests</h1><p><b>Message</b> Rate limit exceeded.</p><h3>Apache Tomcat/9.0.95</h3></body></html>"
)
"""Of Data Center, without the words of its API: https://github.com/ahungry/org-jira/issues/365"""


def login_page(call: Call) -> Reply:
    return Reply(200, LOGIN_PAGE, kind=HTML)


def captcha_lock(call: Call) -> Reply:
    """https://github.com/it-pal-net/chronos-timetracker/issues/107 has the headers."""
    reason = f"CAPTCHA_CHALLENGE; login-url={call.site}/login.jsp"
    headers = {"X-Seraph-LoginReason": "AUTHENTICATION_DENIED", "X-Authentication-Denied-Reason": reason}
    return Reply(403, LOGIN_PAGE, headers, HTML)


def denied_login(call: Call) -> Reply:
    """200, and only a header says that the login was not looked at: https://github.com/go-jira/jira/issues/8"""
    response = reply({"issues": [], "results": [], "values": [], "total": 0, "isLast": True})
    response.headers["X-Seraph-LoginReason"] = "AUTHENTICATION_DENIED"
    return response


def sso_redirect(call: Call) -> Reply:
    """Data Center with single sign-on leads requests without a session to its login, which leads to the identity provider:
    https://confluence.atlassian.com/enterprise/saml-single-sign-on-for-atlassian-data-center-applications-857050705.html"""
    return Reply(302, b"", {"Location": f"/plugins/servlet/external-login?os_destination={call.path}"}, HTML)


def denied_403(call: Call) -> Reply:
    return reply({"errorMessages": ["You do not have the permission to do this."], "errors": {}}, 403)


def denied_404(call: Call) -> Reply:
    return problem(404, "Not Found", f"No endpoint {call.method} {call.path}.", call.path)


def missing_scope(call: Call) -> Reply:
    return reply({"code": 401, "message": "Unauthorized; scope does not match"}, 401)


def server_error(number: int) -> Reply:
    """500, 502, 503 and 504 in turn."""
    match number % 4:
        case 1:
            return reply({"errorMessages": ["Internal server error"], "errors": {}}, 500)
        case 2:
            return Reply(502, b"<html><body>502 Bad Gateway</body></html>", kind=HTML)
        case 3:
            return Reply(503, b"<html><body>503 Service Unavailable</body></html>", {"Retry-After": "1"}, HTML)
        case _:
            return Reply(504, b"<html><body>504 Gateway Time-out</body></html>", kind=HTML)


FAULTS: dict[str, Callable[[Call], Reply]] = {
    "login-page": login_page,
    "denied-login": denied_login,
    "sso-redirect": sso_redirect,
    "denied-403": denied_403,
    "denied-404": denied_404,
    "missing-scope": missing_scope,
    "captcha-lock": captcha_lock,
}
"""By trap; where several strike, the first counts."""
