"""`tidings up`: run everything on this machine."""

from collections import Counter
from pathlib import Path

import click

from events import inputs
from tidings.cli.parameters import WholeNumber
from tidings.cli.paths import Folder
from tidings.up.processes import Options, UnknownQueue
from tidings.up.run import run

_MAX_WORKERS = 64  # per queue


def _scale(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> Counter[str]:
    scale: Counter[str] = Counter()
    for value in values:
        queue, _, count = value.partition("=")
        try:
            workers = inputs.integer(count)
        except ValueError:
            workers = -1
        if not queue or not 0 <= workers <= _MAX_WORKERS:
            raise click.BadParameter(
                f"{value!r}; write queue=number, such as payment=2, with at most {_MAX_WORKERS}"
            )
        if queue in scale:
            raise click.BadParameter(f"{value!r}; write each queue once")
        scale[queue] = workers
    return scale


@click.command()
@click.option(
    "--port",
    type=WholeNumber(0, 65535),
    default=8000,
    show_default=True,
    help="Port of the web; 0 takes a free one.",
)
@click.option(
    "--flower-port",
    type=WholeNumber(0, 65535),
    default=5555,
    show_default=True,
    help="Port of Flower; 0 takes a free one.",
)
@click.option(
    "--data-dir",
    type=Folder(),
    default=Path("var"),
    show_default=True,
    help="Directory of the database, the broker's messages, the mails and the secrets.",
)
@click.option(
    "--scale",
    multiple=True,
    metavar="QUEUE=N",
    callback=_scale,
    help="Number of workers of a queue; may be repeated.",
)
def up(port: int, flower_port: int, data_dir: Path, scale: Counter[str]) -> None:
    """Run everything on this machine: broker, relay, workers, web, Flower, mail sink.

    DATABASE_URL, BROKER_URL and SMTP_URL replace the built-in services. Ctrl-C lets running tasks
    finish; a second Ctrl-C kills everything.
    """
    try:
        run(Options(port=port, flower_port=flower_port, data_dir=data_dir, scale=scale))
    except UnknownQueue as error:
        raise click.BadParameter(str(error), param_hint="--scale") from error
