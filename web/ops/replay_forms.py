"""The form of a replay: its pace, and the answer when it has started or was refused."""

import re

from flask import flash, redirect, request, url_for
from flask.typing import ResponseReturnValue

from events.errors import AlreadyReplaying, TidingsError
from events.replays.steps import CANARY_STEPS, MAX_RATE, MIN_RATE, Pace
from events.replays.tables import Kind, Replay
from web.errors import FieldError, InvalidInput

_RATE = re.compile(r"[0-9]{1,4}(\.[0-9]{1,4})?")


def pace() -> Pace:
    """Return the pace that the form asks for. Raises `InvalidInput`."""
    typed = request.form.get("rate", "").strip()
    steps = CANARY_STEPS if request.form.get("canary") else ()
    if not typed:
        return Pace(steps)
    if not _RATE.fullmatch(typed) or not MIN_RATE <= float(typed) <= MAX_RATE:
        message = f"give a number from {MIN_RATE} to {MAX_RATE:g} each second, or leave it empty"
        raise InvalidInput([FieldError("rate", message)])
    return Pace(steps, float(typed))


def started(job: Replay) -> ResponseReturnValue:
    """Go to the page of the job that was started."""
    verb = "Backfilling" if job.kind == Kind.BACKFILL else "Replaying"
    flash(f"{verb} {job.total:,} {'delivery' if job.total == 1 else 'deliveries'}.", "done")
    return redirect(url_for("ops.replays.show", number=job.id), 303)


def refused(error: TidingsError, back: str) -> ResponseReturnValue:
    """Say why nothing was started, on the page of the job that is in the way if there is one."""
    flash(f"Nothing was changed: {error}.", "wait")
    if isinstance(error, AlreadyReplaying):
        return redirect(url_for("ops.replays.show", number=error.number), 303)
    return redirect(back, 303)
