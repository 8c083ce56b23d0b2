"""/ops/audit: what operators did, with filters, and apart from it what customers did."""

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from events import reading
from events.admin import audit
from events.admin.audit import Filters, Role
from web import forms

bp = Blueprint("audit", __name__, url_prefix="/audit")
PAGE_SIZE = 50


@bp.get("")
def show_list() -> ResponseReturnValue:
    """List the acts of operators, or those of customers, newest first."""
    texts = {name: forms.argument(name) for name in ("who", "action", "target", "since", "until")}
    customers = "customers" in request.args
    since, until = forms.time_range(texts["since"], texts["until"])
    filters = Filters(
        **{name: texts[name] or None for name in ("who", "action", "target")},
        since=since,
        until=until,
        role=Role.CUSTOMER if customers else Role.OPERATOR,
    )
    with reading() as session:
        found = audit.listed(session, filters=filters, before=forms.before(), limit=PAGE_SIZE + 1)
        actions = audit.actions(session)
    given = {name: value for name, value in texts.items() if value}
    return render_template(
        "ops/audit.html",
        lines=found[:PAGE_SIZE],
        older=found[PAGE_SIZE - 1].id if len(found) > PAGE_SIZE else None,
        actions=actions,
        texts=texts,
        given=given | ({"customers": "yes"} if customers else {}),
        customers=customers,
    )
