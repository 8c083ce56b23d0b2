"""Requests of the API that repairs dead letters as models, like `web.api.ops_schemas`."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from events.inputs import PlainText


class DryRunBody(BaseModel):
    """The answer to the calls, which a dry run does not make."""

    model_config = ConfigDict(extra="forbid", strict=True)

    answer: Annotated[str, PlainText(100)] | None = Field(
        default=None,
        description="the name of the example answer with which the handler goes on; the first one "
        "without it",
        examples=["declined"],
    )
