"""`tidings up`: everything on this machine, with one command."""

from collections import Counter
from pathlib import Path

import click

from tidings.up.processes import Options, UnknownQueue
from tidings.up.run import run


def _scale(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> Counter[str]:
    scale: Counter[str] = Counter()
    for value in values:
        queue, equals, count = value.partition("=")
        if not queue or not equals or not count.isdecimal() or int(count) > 64:
            raise click.BadParameter(f"{value!r}; write queue=number, such as payment=2")
        scale[queue] = int(count)
    return scale


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="Where the shop is; 0 takes a free one.",
)
@click.option(
    "--flower-port",
    type=click.IntRange(0, 65535),
    default=5555,
    show_default=True,
    help="Where Flower is; 0 takes a free one.",
)
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("var"),
    show_default=True,
    help="Where all data lies.",
)
@click.option(
    "--scale",
    multiple=True,
    metavar="QUEUE=N",
    callback=_scale,
    help="So many workers for a queue; may be repeated.",
)
def up(port: int, flower_port: int, data_dir: Path, scale: Counter[str]) -> None:
    """Run everything on this machine: broker, relay, workers, web, Flower, mail sink.

    DATABASE_URL, BROKER_URL and SMTP_URL name others' services to use instead of its own. Ctrl-C ends it in good order.
    """
    try:
        run(Options(port=port, flower_port=flower_port, data_dir=data_dir, scale=scale))
    except UnknownQueue as error:
        raise click.BadParameter(str(error), param_hint="--scale") from error
