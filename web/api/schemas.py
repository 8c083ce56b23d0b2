"""Requests and responses of the API as models, from which the OpenAPI document is made."""

from datetime import datetime
from functools import cache
from http import HTTPStatus
from typing import Annotated, Any, Literal
from uuid import UUID

from flask_openapi.models.request_body import RequestBody
from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field, WithJsonSchema

from events.catalog import Line, Money
from events.inputs import REASON, PlainText
from tasks.commands import Sku
from tasks.ops_login import Role
from web.idempotency import parse_key

_KEY = r'^("([ !#-\[\]-~]|\\["\\]){1,200}"|[!#-~][!-~]{0,199})$'
# The word is `why`, as in the commands; `reason` is what older clients of some endpoints send.
WHY = Field(validation_alias=AliasChoices("why", "reason"), description="the reason, for the audit")
Key = Annotated[str, AfterValidator(parse_key), WithJsonSchema({"type": "string", "pattern": _KEY})]


class Parameters(BaseModel):
    """Values in the address or the headers of a request, which cannot be null."""

    @classmethod
    @cache  # flask-openapi 5.0 asks at every request, which took a tenth of the time of an order
    def model_json_schema(  # type: ignore[override]
        cls, *args: Any, **options: Any
    ) -> dict[str, Any]:
        """Return the schema of each parameter, without the null that the address cannot express."""
        schema = super().model_json_schema(*args, **options)
        for name, field in schema["properties"].items():
            values = [each for each in field.get("anyOf", ()) if each != {"type": "null"}]
            if len(values) == 1:
                rest = {key: field[key] for key in field if key not in ("anyOf", "default")}
                schema["properties"][name] = values[0] | rest
        return schema


class OrderHeaders(Parameters):
    """Headers of a new order."""

    idempotency_key: Key | None = Field(
        default=None,
        alias="Idempotency-Key",
        description="a repeated request with the same key and body gets the first response again",
    )


class OrderPath(Parameters):
    """The order in the address."""

    order_id: UUID


class ProductPath(Parameters):
    """The product in the address."""

    sku: Sku


class TokenQuery(Parameters):
    """The order's token, for clients that cannot set a header."""

    model_config = ConfigDict(extra="forbid")

    token: str = Field(default="", max_length=200)


class Cancellation(BaseModel):
    """The reason for cancelling."""

    model_config = ConfigDict(extra="forbid", strict=True)

    why: Annotated[str, PlainText(REASON.max_length, folds=True), WHY] = Field(
        default_factory=str,
        description="an operator must give one; without a login, `cancelled by the customer`",
    )


class Problem(BaseModel):
    """An error in the format of RFC 9457."""

    type: str = Field(examples=["urn:tidings:problem:invalid-input"])
    title: str
    status: int
    detail: str | None = None
    instance: str | None = Field(
        default=None, description="the id of this occurrence, which the log has too"
    )
    errors: list["FieldProblem"] = Field(default=[], description="the mistakes, field by field")


class FieldProblem(BaseModel):
    """A mistake in one field."""

    field: str = Field(examples=["items.0.quantity"])
    message: str


class Links(BaseModel):
    """Addresses of the order."""

    self: str
    cancel: str
    page: str


class Accepted(BaseModel):
    """An order that is saved, and that the services process from here on."""

    id: str
    number: str = Field(examples=["ORD-1042"])
    status: str
    total: Money
    token: str = Field(description="authorizes its holder to see and cancel this order")
    links: Links


class TimelineStep(BaseModel):
    """An event about the order, in words."""

    at: datetime
    event_type: str = Field(examples=["payment.charged"])
    text: str


class OrderState(BaseModel):
    """The state of an order."""

    id: str
    number: str
    status: str = Field(examples=["placed", "confirmed", "shipped", "cancelled"])
    reason: str | None = Field(default=None, description="the reason for its cancellation")
    stock: str
    payment: str
    shipment: str
    reserved_until: datetime | None = Field(
        default=None, description="the time at which the order is cancelled unless it is paid"
    )
    items: list[Line]
    total: Money
    timeline: list[TimelineStep]
    links: Links


class ProductView(BaseModel):
    """A product with its price and its stock."""

    sku: str
    name: str
    description: str
    price: Money
    available: int
    active: bool = Field(description="false: it is no longer sold; only operators see it")


class Products(BaseModel):
    """The products that are sold; to operators, all products."""

    products: list[ProductView]


def problems(*statuses: int) -> dict[str | int | HTTPStatus, Any]:
    """Describe the responses with these error statuses for the OpenAPI document."""
    reference = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {
        str(status): {"content": {"application/problem+json": reference}} for status in statuses
    }


def optional_body(model: type[BaseModel]) -> RequestBody:
    """Describe a request body that may be omitted for the OpenAPI document."""
    reference = {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}
    return RequestBody.model_validate(
        {"content": {"application/json": reference}, "required": False}
    )


class LoginOut(BaseModel):
    """The ops login of the request."""

    user: str
    # Not `Role` itself: the document has one schema of that name, for the person of an audit line.
    role: Literal[Role.VIEWER, Role.OPERATOR, Role.ADMINISTRATOR]
