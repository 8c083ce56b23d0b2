"""How pages write money, moments, spans of time, e-mail addresses and postal ones."""

from datetime import datetime

from flask import Blueprint

from events.catalog import Address
from tasks.commands import countries
from tasks.money import money_text


def clock(moment: datetime | None) -> str:
    """The time of day to the millisecond."""
    return moment.strftime("%H:%M:%S.") + f"{moment.microsecond // 1000:03}" if moment else ""


def moment(value: datetime | None) -> str:
    """Day and time to the second."""
    return value.strftime("%Y-%m-%d %H:%M:%S") if value else ""


def second(value: datetime | None) -> str:
    """The time of day to the second."""
    return value.strftime("%H:%M:%S") if value else ""


def minute(value: datetime | None) -> str:
    """The time of day to the minute, as long as the reader knows the day."""
    return value.strftime("%H:%M") if value else ""


def span(seconds: float | None) -> str:
    """A span of time in the two units that matter."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def masked(email: str) -> str:
    """An e-mail address that its owner recognises and nobody else can use."""
    local, _, domain = email.rpartition("@")
    return f"{local[:1]}***@{domain}"


def address(value: Address) -> str:
    """A postal address on one line."""
    country = dict(countries()).get(value.country, value.country)
    return ", ".join(
        part
        for part in (value.line1, value.line2, f"{value.postcode} {value.city}", country)
        if part
    )


def add_to(bp: Blueprint) -> None:
    """Make these the filters of every template."""
    bp.add_app_template_filter(money_text, "money")
    for filter in (clock, moment, second, minute, span, masked, address):
        bp.add_app_template_filter(filter)
