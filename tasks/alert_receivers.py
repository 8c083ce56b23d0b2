"""The receivers of the alerts, as this process knows them by its settings."""

from urllib.parse import urlsplit

from tasks.settings import settings

NONE_KNOWN = (
    "no receiver is known here: set OPERATOR_EMAIL, or ALERT_WEBHOOK_URL and ALERT_WEBHOOK_SECRET"
)


def receivers() -> list[str]:
    """Return where alerts go, without the path of the webhook, which may be a secret."""
    found = []
    if operator := settings().operator_email:
        found.append(f"mail to {operator}")
    if url := settings().alert_webhook_url:
        found.append(f"webhook at {urlsplit(url).hostname}")
    return found
