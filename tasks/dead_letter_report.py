"""A group of dead letters as Markdown, for a ticket: cause, impact, latest deaths, commands."""

import re
import shlex
from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from events.admin import dead_letters
from events.admin.dead_letter_export import one_line
from events.admin.dead_letters import DeadLetterView, Group
from events.admin.triage import Triage, of_groups
from events.errors import UnknownGroup
from events.inputs import escaped_lines
from tasks import impact
from tasks.durations import duration_text
from tasks.impact import Impact

SHOWN = 20  # dead letters
_MAX_ERROR = 2000  # characters


def markdown(session: Session, *, subscription: str, fingerprint: str) -> str:
    """Return the report. It has no payload, and no personal data but what an error contains.

    Raises `UnknownGroup`.
    """
    for group, held_up in impact.ranked(session, dead_letters.groups(session)).rows:
        if (group.subscription, group.fingerprint) == (subscription, fingerprint):
            latest = dead_letters.listed(
                session, subscription=subscription, fingerprint=fingerprint, limit=SHOWN
            )
            [noted] = of_groups(session, [group])
            return "\n".join(_lines(group, held_up, noted, latest)) + "\n"
    raise UnknownGroup(subscription, fingerprint)


def _lines(
    group: Group, held_up: Impact, noted: Triage, latest: Sequence[DeadLetterView]
) -> Iterator[str]:
    error_type = group.fingerprint.partition(" ")[0]
    yield f"# {_code(error_type)} in {_code(group.subscription)}: {group.count:,} dead"
    yield ""
    for name, value in (*_facts(group, held_up), *_triage(noted)):
        yield f"- {name}: {value}"
    yield from ("", "## Error", "", *_fenced(escaped_lines(group.error[:_MAX_ERROR])), "")
    yield f"## The latest {len(latest)} of {group.count:,}"
    yield ""
    yield "| died (UTC) | subject | attempts | delivery |"
    yield "|---|---|---:|---|"
    for each in latest:
        subject = _code(each.subject) if each.subject else "none"
        yield f"| {_moment(each.died_at)} | {subject} | {each.attempts} | {_code(each.id)} |"
    yield from ("", "## Commands", "", *_fenced("\n".join(_commands(group))))


def _facts(group: Group, held_up: Impact) -> Iterator[tuple[str, str]]:
    yield "fingerprint", _code(group.fingerprint)
    yield "queue", _code(group.queue)
    yield "event", _code(group.event_type)
    yield "deaths", f"first {_moment(group.first)}, last {_moment(group.last)} UTC"
    yield "orders that wait", held_up.orders_text
    yield "money held up", held_up.money_text
    if held_up.oldest and held_up.longest_wait is not None:
        yield "oldest wait", f"{duration_text(held_up.longest_wait)} ({_code(held_up.oldest)})"


def _triage(noted: Triage) -> Iterator[tuple[str, str]]:
    yield "state", noted.state + (f", {_code(noted.version)}" if noted.version else "")
    if noted.canary:
        yield "canary", f"replay {noted.canary}, {noted.canary_outcome}"
    for name in ("owner", "note", "link"):
        if value := getattr(noted, name):
            yield name, _code(value)


def _commands(group: Group) -> Iterator[str]:
    which = f"--subscription {shlex.quote(one_line(group.subscription))}"
    which += f" --fingerprint {shlex.quote(one_line(group.fingerprint))}"
    yield f"tidings dead-letters list {which}"
    yield f"tidings dead-letters replay {which} --why REASON"


def _moment(value: datetime) -> str:
    return f"{value:%Y-%m-%d %H:%M:%S}"


def _code(text: str) -> str:
    """Return the text as inline code, which no table cell and no markup breaks out of."""
    safe = one_line(text).replace("`", "'").replace("|", "\\|")
    return f"`{safe}`"


def _fenced(text: str) -> list[str]:
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}text", text, fence]
