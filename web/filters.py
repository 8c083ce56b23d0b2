"""Template filters: money, times, durations, e-mail addresses and postal addresses as text."""

from datetime import datetime

from babel.dates import format_date
from flask import Flask

from events import clock
from events.catalog import Address
from events.inputs import escaped
from tasks.countries import countries
from tasks.durations import LOCALE, duration_text
from tasks.money import digits, money_text


def day(value: datetime | None) -> str:
    """Format the day with its year, such as `Wed 25 Nov 2026`."""
    return format_date(value, "EEE d MMM yyyy", locale=LOCALE) if value else ""


def date_and_time(value: datetime | None) -> str:
    """Format the day and the time to the second; the year only if it is not this one."""
    if value is None:
        return ""
    written = day(value).removesuffix(f" {clock.now().year}")
    return f"{written} {value:%H:%M:%S}"


def time_of_day(value: datetime | None, timespec: str = "seconds") -> str:
    """Format the time of day. `timespec` is that of `datetime.time.isoformat`."""
    return value.time().isoformat(timespec) if value else ""


def number(value: int) -> str:
    """Format a number with commas between its thousands."""
    return f"{value:,}"


def plural(count: int, one: str, many: str = "") -> str:
    """Format a number with its noun: `1 order`, `1,204 orders`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def duration(seconds: float | None) -> str:
    """Format a duration in seconds; without one the text is empty."""
    return "" if seconds is None else duration_text(seconds)


def masked(email: str) -> str:
    """Shorten an e-mail address so that its owner recognises it and nobody else can use it."""
    local, _, domain = email.rpartition("@")
    return f"{local[:1]}***@{domain}"


def address(value: Address) -> str:
    """Format a postal address on one line."""
    country = dict(countries()).get(value.country, value.country)
    parts = (value.line1, value.line2, f"{value.postcode} {value.city}".strip(), country)
    return ", ".join(part for part in parts if part)


def sentence(text: str) -> str:
    """Write an error message as a sentence; it may repeat what was typed."""
    text = escaped(text)
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def init_app(app: Flask) -> None:
    """Add the filters to the templates of `app`."""
    app.add_template_filter(money_text, "money")
    app.add_template_filter(digits, "digits")
    for template_filter in (
        *(day, date_and_time, time_of_day, duration, number, plural),
        *(masked, address, sentence),
    ):
        app.add_template_filter(template_filter)
    app.add_template_global(clock.now, "now")
