"""The products' own error messages, in English and, for the trap `localized`, in German."""

_GERMAN = {
    "Issue does not exist or you do not have permission to see it.": (
        "Der Vorgang existiert nicht oder Sie haben keine Berechtigung, ihn anzuzeigen."
    ),
    "Client must be authenticated to access this resource.": "Für den Zugriff auf diese Ressource ist eine Anmeldung nötig.",
    "Not Found": "Nicht gefunden",
    "Unbounded JQL queries are not allowed here. Please add a search restriction to your query.": (
        "Unbegrenzte JQL-Abfragen sind hier nicht zulässig. Fügen Sie Ihrer Abfrage eine Sucheinschränkung hinzu."
    ),
    "Rate limit exceeded.": "Anfragelimit überschritten.",
}
NO_ISSUE = "Issue does not exist or you do not have permission to see it."
NO_LOGIN = "Client must be authenticated to access this resource."
UNBOUNDED = "Unbounded JQL queries are not allowed here. Please add a search restriction to your query."
BAD_PAYLOAD = "Invalid request payload. Refer to the REST API documentation and try again."
GONE = (
    "The requested API has been removed. Please migrate to the /rest/api/3/search/jql API. A full migration guideline is "
    "available at https://developer.atlassian.com/changelog/#CHANGE-2046"
)


def localized(text: str, *, german: bool) -> str:
    """Translates a message; one without a known translation gets a German prefix, so that no client can match on English text."""
    if not german:
        return text
    return _GERMAN.get(text, f"Fehler: {text}")
