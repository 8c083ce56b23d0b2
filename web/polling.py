"""The answer to what is asked again and again."""

from flask import Response, make_response, request


def conditional(body: Response | str) -> Response:
    """Respond with the body and its ETag, or with 304 if the client has it already."""
    response = make_response(body)
    response.headers["Cache-Control"] = "private, no-cache"
    response.add_etag()
    response.make_conditional(request)
    return response
