"""`tidings views`: list, save and remove searches under a name."""

import click

from events import reading, transaction
from events.admin import saved_views as saved
from events.inputs import escaped
from tasks.search_fields import QUERIES
from tidings.cli.audit_options import needed, who, why_option
from tidings.cli.encoding import echo
from tidings.cli.output import json_option, list_by_default, print_json, print_table
from tidings.cli.parameters import Rule

_COLUMNS = ("page", "name", "query", "by", "for")
_page = click.argument("page", type=click.Choice(saved.SEARCHED))
_name = click.argument("name", type=Rule(saved.NAME))


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def views(context: click.Context, *, as_json: bool) -> None:
    """Operate the saved views of events and dead letters; without a command, list them."""
    list_by_default(context, list_views, as_json=as_json)


@views.command("list")
@json_option
def list_views(*, as_json: bool) -> None:
    """List the saved views; search with their queries by `-q`."""
    with reading() as session:
        found = saved.listed(session)
    if as_json:
        names = ("page", "name", "query", "who", "why", "saved_at")
        print_json([{name: getattr(view, name) for name in names} for view in found])
        return
    rows = [(view.page, view.name, view.query, view.who, view.why) for view in found]
    print_table(_COLUMNS, rows, empty="no view is saved; `tidings views save` saves a search")


@views.command()
@_page
@_name
@click.argument("query")
@why_option
def save(page: saved.Searched, name: str, query: str, why: str) -> None:
    """Save a search of PAGE under a name, for everybody; one with the same name is replaced."""
    query = query.strip()
    try:
        found = QUERIES[page](query)
    except ValueError as error:
        raise click.BadParameter(escaped(str(error)), param_hint="QUERY") from error
    if not found:
        raise click.BadParameter("write at least one term", param_hint="QUERY")
    why = needed(why)
    with transaction() as session:
        is_new = saved.save(session, page, name, query, who=who(), why=why)
    echo(f"the view {name} of {page} is {'saved' if is_new else 'replaced'}")


@views.command()
@_page
@_name
@why_option
def remove(page: saved.Searched, name: str, why: str) -> None:
    """Remove a view of PAGE."""
    why = needed(why)
    with transaction() as session:
        saved.remove(session, page, name, who=who(), why=why)
    echo(f"the view {name} of {page} is removed")
