"""The command line: `tidings`, also as `celery -A tasks tidings` and `flask tidings`."""

from tidings.cli.lazy_group import Commands

main = Commands(
    name="tidings",
    help="An order backend whose services speak only through events.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
