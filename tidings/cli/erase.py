"""`tidings erase`: forget a customer."""

import click

from tasks import erasure
from tidings import migrations
from tidings.cli.audit_options import who, why_option
from tidings.cli.output import print_table

PROBLEMS_FOUND = 3


@click.command()
@click.option(
    "--email",
    required=True,
    metavar="ADDRESS",
    help="The customer's address, in any case of letters.",
)
@click.option(
    "--force",
    is_flag=True,
    help="Also while an order has not ended: it goes on without a name and an address.",
)
@why_option
@click.option("--yes", is_flag=True, help="Do not ask.")
def erase(*, email: str, force: bool, why: str, yes: bool) -> None:
    """Erase a customer's personal data: names, addresses, what they wrote, where they came from.

    Ids, numbers and figures stay. The audit says when and why, with a hash instead of the address. Exit code 3: a table still
    holds the address.
    """
    address = email.strip()
    if "@" not in address:
        raise click.BadParameter(f"{address!r} is no e-mail address", param_hint="--email")
    if not yes:
        click.confirm(
            "All that tells of this customer is erased, and cannot be brought back. Go on?",
            abort=True,
        )
    migrations.load_tables()  # whoever keeps personal data has said there how it is forgotten
    counts = erasure.erase(address, who=who(), why=why, force=force)
    if any(counts.values()):
        print_table(("what", "changed"), counts.items(), empty="")
    else:
        click.echo("nothing is known of this address")
    if left := erasure.remaining_columns(address):
        click.echo(
            f"the address is still in {', '.join(left)}; register an eraser for each with events.admin.erasure.register_eraser",
            err=True,
        )
        raise click.exceptions.Exit(PROBLEMS_FOUND)
