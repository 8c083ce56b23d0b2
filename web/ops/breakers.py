"""/ops/breakers: the circuit breakers of the dependencies, and holding and closing them."""

from collections.abc import Callable, Sequence
from functools import partial

from flask import Blueprint, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from events import reading, transaction
from events.admin import breakers
from events.admin.breakers import BreakerLine
from events.breakers import State
from web import forms
from web.security import operator_name

bp = Blueprint("breakers", __name__, url_prefix="/breakers")


@bp.get("")
def show_list() -> ResponseReturnValue:
    """List the breakers, those first that hold deliveries back."""
    with reading() as session:
        lines = breakers.listed(session)
    return render_template("ops/breakers.html", lines=lines, headline=_headline(lines))


def _headline(lines: Sequence[BreakerLine]) -> str:
    if not lines:
        return "No subscription depends on anything"
    waits = [line.dependency for line in lines if line.state != State.CLOSED]
    if not waits:
        return "All dependencies are available"
    return f"Deliveries wait for {', '.join(waits)}"


@bp.post("/<dependency>/hold")
def hold(dependency: str) -> ResponseReturnValue:
    """Let the deliveries of a dependency wait until it is closed."""
    return _change(breakers.hold, dependency, "on hold")


@bp.post("/<dependency>/close")
def close(dependency: str) -> ResponseReturnValue:
    """Send the deliveries of a dependency."""
    return _change(breakers.close, dependency, "closed")


@bp.post("/<dependency>/replays/<any(on, off):state>")
def switch_replays(dependency: str, state: str) -> ResponseReturnValue:
    """Switch the automatic replay of what died of a dependency, when it is available again."""
    act = partial(breakers.switch_replays, on=state == "on")
    return _change(act, dependency, f"switched {state}", "automatic replay")


def _change(
    act: Callable[..., bool], dependency: str, state: str, what: str = "breaker"
) -> ResponseReturnValue:
    reason = forms.reason()
    with transaction() as session:
        changed = act(session, dependency, who=operator_name(), why=reason)
    if changed:
        flash(f"The {what} of {dependency} is {state}.", "done")
    else:
        flash(f"Nothing was changed: the {what} of {dependency} is {state} already.", "wait")
    return redirect(url_for(".show_list"), 303)
