"""Grace, a customer: her order as the web would place it, and the personal data that remains."""

from typing import Any

from sqlalchemy import LargeBinary, MetaData, Text, cast, inspect, select

from events import Actor, Context, Database, acting, reading, transaction
from events.database import database
from tasks import erasure, placing
from tasks.orders import Order
from tests.tasks.builders import order_data, place_order

EMAIL, NAME, STREET, CITY, POSTCODE = (
    "grace.Hopper@navy.example",
    "Grace Brewster Hopper",
    "17 Würzburg Lane",
    "Arlingtown",
    "22201-X",
)
MARKS = (EMAIL, NAME, STREET, CITY, POSTCODE, "203.0.113.77", "Netscape/4.7")


def placed(token: str = "tok_ok", email: str = EMAIL, **quantities: int) -> Order:
    """Place an order of Grace as the web would."""
    wanted = order_data(token, **quantities)
    wanted["customer"] = {"name": NAME, "email": email}
    wanted["shipping_address"] = {
        "line1": STREET,
        "line2": "",
        "city": CITY,
        "postcode": POSTCODE,
        "country": "US",
    }
    actor = Actor(tenant="shop-1", ip="203.0.113.77", agent="Netscape/4.7")
    with acting(Context(actor=actor)), transaction() as session:
        return placing.place(session, place_order().model_validate(wanted))


def erase(email: str = EMAIL, *, force: bool = False, why: str = "she asked") -> dict[str, int]:
    return erasure.erase(email, who="ada", why=why, force=force)


def everything(*, but: str = "") -> str:
    """Return every row of every table as text in lower case, with JSON escapes decoded."""
    texts: list[str] = []
    metadata = _tables(database(), frozenset(inspect(database().reader).get_table_names()))
    with reading() as session:
        for table in (each for each in metadata.sorted_tables if each.name != but):
            columns = [
                column if isinstance(column.type, LargeBinary) else cast(column, Text)
                for column in table.columns
            ]
            texts += [_text(value) for row in session.execute(select(*columns)) for value in row]
    return "\n".join(texts).lower()


_reflected: dict[tuple[str, frozenset[str]], MetaData] = {}


def _tables(chosen: Database, names: frozenset[str]) -> MetaData:
    """Return all tables as the database has them; to read their columns takes long."""
    if (key := (chosen.dialect.name, names)) not in _reflected:
        _reflected[key] = MetaData()
        _reflected[key].reflect(chosen.reader)
    return _reflected[key]


def _text(value: Any) -> str:
    text = (
        bytes(value).decode(errors="replace")
        if isinstance(value, bytes | memoryview)
        else str(value)
    )
    return (
        f"{text}\n{text.encode('latin-1', 'replace').decode('unicode_escape', 'replace')}"
        if "\\u" in text
        else text
    )


def known() -> list[str]:
    """Return the texts about her that any table still contains."""
    text = everything()
    return [mark for mark in MARKS if mark.lower() in text]
