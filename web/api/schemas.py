"""What the API is asked and answers, as models: they are the documentation and make the JSON."""

from datetime import datetime
from functools import cache
from http import HTTPStatus
from typing import Any

from flask_openapi.models.request_body import RequestBody
from pydantic import BaseModel, Field

from events.catalog import Line, Money


class Parameters(BaseModel):
    """What stands in the address or the headers of a request. There is no way to write null there, so no schema says so."""

    @classmethod
    @cache  # flask-openapi 5.0 asks for the schema at every request: a tenth of the time that an order took
    def model_json_schema(cls, *args: Any, **options: Any) -> dict[str, Any]:  # type: ignore[override]
        """The schema of each parameter's value."""
        schema = super().model_json_schema(*args, **options)
        for name, field in schema["properties"].items():
            values = [each for each in field.get("anyOf", ()) if each != {"type": "null"}]
            if len(values) == 1:
                kept = {
                    key: value for key, value in field.items() if key not in ("anyOf", "default")
                }
                schema["properties"][name] = values[0] | kept
        return schema


class Problem(BaseModel):
    """An error as RFC 9457 has it."""

    type: str = Field(examples=["urn:tidings:problem:invalid-input"])
    title: str
    status: int
    detail: str | None = None
    instance: str | None = Field(
        default=None, description="names this occurrence; the log knows it"
    )
    errors: list["FieldProblem"] = Field(default=[], description="what is wrong, field by field")


class FieldProblem(BaseModel):
    """What is wrong with one field."""

    field: str = Field(examples=["items.0.quantity"])
    message: str


class Links(BaseModel):
    """Where to go on."""

    self: str
    cancel: str
    page: str


class Accepted(BaseModel):
    """An order that is saved; the services take it from there."""

    id: str
    number: str = Field(examples=["ORD-1042"])
    status: str
    total: Money
    token: str = Field(description="the right to see and cancel this order")
    links: Links


class Step(BaseModel):
    """One thing that happened to the order."""

    at: datetime
    what: str = Field(description="the event's type", examples=["payment.charged"])
    text: str


class OrderState(BaseModel):
    """How far an order is."""

    id: str
    number: str
    status: str = Field(examples=["placed", "confirmed", "shipped", "cancelled"])
    reason: str | None = Field(default=None, description="why it was cancelled")
    stock: str
    payment: str
    shipment: str
    items: list[Line]
    total: Money
    timeline: list[Step]
    links: Links


class ProductView(BaseModel):
    """A product with its price and what is left of it."""

    sku: str
    name: str
    price: Money
    available: int


class Products(BaseModel):
    """The catalogue."""

    products: list[ProductView]


def problems(*statuses: int) -> dict[str | int | HTTPStatus, Any]:
    """How the OpenAPI document describes these errors: all look alike."""
    reference = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {
        str(status): {"content": {"application/problem+json": reference}} for status in statuses
    }


def optional_body(model: type[BaseModel]) -> RequestBody:
    """How the OpenAPI document describes a body that may be left out."""
    reference = {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}
    return RequestBody.model_validate(
        {"content": {"application/json": reference}, "required": False}
    )
