"""/ops/views: saving and removing the searches that the search fields offer."""

from flask import Blueprint, flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from events import transaction
from events.admin import saved_views as views
from tasks.search_fields import QUERIES
from web import forms
from web.errors import FieldError, InvalidInput
from web.security import operator_name

bp = Blueprint("views", __name__, url_prefix="/views")
_LISTS = {"events": "ops.events.show_list", "dead-letters": "ops.dead_letters.show_list"}


@bp.post("")
def save() -> ResponseReturnValue:
    """Save a search under a name, for everybody."""
    page, name, reason = _page(), _name(), forms.reason()
    query = request.form.get("q", "").strip()
    if not forms.checked("q", QUERIES[page], query):
        raise InvalidInput([FieldError("q", "search for something first, then save it")])
    with transaction() as session:
        is_new = views.save(session, page, name, query, who=operator_name(), why=reason)
    flash(f"The view {name} is {'saved' if is_new else 'replaced'}.", "done")
    return redirect(url_for(_LISTS[page], q=query), 303)


@bp.post("/remove")
def remove() -> ResponseReturnValue:
    """Remove a view."""
    page, name, reason = _page(), _name(), forms.reason()
    with transaction() as session:
        views.remove(session, page, name, who=operator_name(), why=reason)
    flash(f"The view {name} is removed.", "done")
    return redirect(url_for(_LISTS[page]), 303)


def _page() -> views.Searched:
    given = request.form.get("page", "")
    for page in views.SEARCHED:
        if page == given:
            return page
    raise InvalidInput([FieldError("page", f"write {' or '.join(views.SEARCHED)}")])


def _name() -> str:
    return forms.checked("name", views.NAME, request.form.get("name", ""))
