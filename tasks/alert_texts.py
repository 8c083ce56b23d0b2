"""The texts of the alerts, as a mail and as one line, with the page and the command for each."""

import shlex
from urllib.parse import quote, urlencode

from events.alerts.rules import Rule
from events.catalog import AlertEvent, AlertRaised
from events.inputs import escaped

_NO_MARKUP = str.maketrans("<>", "\u2039\u203a")


def headline(event: AlertEvent) -> str:
    """Return the state and the title, such as `Alert: Queue payment has no worker`."""
    if not isinstance(event, AlertRaised):
        return f"Over: {event.title}"
    return f"{'Still' if event.again else 'Alert'}: {event.title}"


def body(event: AlertEvent, site: str) -> str:
    """Return the text of the mail; `site` is the address of the pages, or empty."""
    since = f"Since {event.since:%Y-%m-%d %H:%M:%S} UTC."
    if not isinstance(event, AlertRaised):
        return f"{event.title}: this is over. {since.replace('Since', 'It began at')}\n"
    open_it = f"Open:   {site}{page(event.rule, event.subject, event.cause)}\n" if site else ""
    return (
        f"{event.title}.\n\n  {escaped(event.text)}\n\n{since}\n\n"
        f"{open_it}"
        f"Look:   {command(event.rule, event.subject, event.cause)}\n\n"
        "It is told again after an hour at the earliest, and once when it is over.\n"
    )


def line(event: AlertEvent, site: str) -> str:
    """Return the text for a chat, in which nothing is markup."""
    text = headline(event)
    if isinstance(event, AlertRaised):
        text += f". {escaped(event.text)}"
        text += f" {site}{page(event.rule, event.subject, event.cause)}" if site else ""
    # In Slack's messages these begin a link or address everybody.
    return text.translate(_NO_MARKUP)


def page(rule: str, subject: str, cause: str) -> str:
    """Return the path of the page on which an operator acts."""
    match rule:
        case Rule.NEW_CAUSE:
            group = urlencode({"subscription": subject, "fingerprint": cause})
            return f"/ops/dead-letters?{group}"
        case Rule.DEAD:
            return "/ops/dead-letters"
        case Rule.OLDEST | Rule.NO_WORKER:
            return f"/ops/queues#queue-{quote(subject)}"
        case Rule.BREAKER_OPEN:
            return f"/ops/breakers#breaker-{quote(subject)}"
    return "/ops/alerts"


def command(rule: str, subject: str, cause: str) -> str:
    """Return the command that shows the same, or mends it."""
    match rule:
        case Rule.NEW_CAUSE:
            which = f"--subscription {shlex.quote(subject)} --fingerprint {shlex.quote(cause)}"
            return f"tidings dead-letters list {escaped(which)}"
        case Rule.DEAD:
            return "tidings dead-letters list --group"
        case Rule.OLDEST:
            return "tidings queues"
        case Rule.NO_WORKER:
            return f"celery -A tasks worker -Q {subject} -n {subject}@%h"
        case Rule.RELAY_BEHIND:
            return "tidings doctor"
        case Rule.BREAKER_OPEN:
            return "tidings breakers"
    return "tidings alerts"
