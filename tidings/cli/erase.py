"""`tidings erase`: erase a customer's personal data."""

import click

from events.emails import email_key, has_several_emails
from events.inputs import escaped
from tasks import erasure
from tidings import migrations
from tidings.cli.audit_options import needed, who, why_option
from tidings.cli.exit_codes import PROBLEMS_FOUND
from tidings.cli.output import nothing_found, print_table, progress_bar


@click.command()
@click.option(
    "--email",
    required=True,
    metavar="ADDRESS",
    help="The customer's address, in any spelling.",
)
@click.option(
    "--force",
    is_flag=True,
    help="Erase even if an order is open; it continues without a name and an address.",
)
@why_option
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def erase(*, email: str, force: bool, why: str, yes: bool) -> None:
    """Erase a customer's names, addresses, messages and origin.

    Ids, numbers and amounts stay. The audit records the time and the reason, with a hash of the
    address. Exit code 3: a table still contains the address. Exit code 4: nothing is stored under
    this address.
    """
    if has_several_emails(email):
        raise click.BadParameter(f"give one address, not {escaped(email)!r}", param_hint="--email")
    address = email_key(email)
    if "@" not in address:
        raise click.BadParameter(f"{email!r} is not an e-mail address", param_hint="--email")
    why = needed(why)
    if not yes:
        click.confirm("The customer's personal data will be erased for good. Continue?", abort=True)
    migrations.load_tables()  # an eraser is registered by the module of its table
    with progress_bar("erasing rows") as progress:
        counts = erasure.erase(address, who=who(), why=why, force=force, progress=progress)
    if any(counts.values()):
        print_table(("rows", "changed"), counts.items(), empty="")
    if left := erasure.remaining_columns(address):
        click.echo(
            f"the address is still in {', '.join(left)}: no eraser covers that; everything else is "
            "erased. Write an eraser beside the table, with @register_eraser of "
            'events.admin.erasure, as docs/how-to.md shows under "Erase a customer"; then repeat '
            "this command",
            err=True,
        )
        raise click.exceptions.Exit(PROBLEMS_FOUND)
    if not any(counts.values()):
        nothing_found("nothing is stored under this address; nobody was erased")
