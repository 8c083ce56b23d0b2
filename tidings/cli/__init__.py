"""The command line: `tidings`, also as `celery -A tasks tidings` and `flask tidings`."""

from tidings.cli.lazy_group import LazyGroup

main = LazyGroup(
    name="tidings",
    help="An order backend whose services communicate only through events.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
