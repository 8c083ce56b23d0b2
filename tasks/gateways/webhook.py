"""The webhook: a signed POST, as Standard Webhooks defines it.

The host's name is resolved once, each of its addresses is checked, and the connection goes to one
of them: a name that leads elsewhere a moment later changes nothing. TLS checks the certificate
against the name all the same. Redirects are not followed, and no proxy is used.
"""

import base64
import hashlib
import hmac
import ssl

import httpx

from events import DeadLetter, clock
from events.errors import BadValue
from tasks.gateways.http_answers import error_of
from tasks.gateways.ports import GatewayDown
from tasks.settings import settings
from tasks.webhook_settings import key_of, resolve

CONNECT_TIMEOUT = 3.0  # seconds for each address of the host
MAX_ADDRESSES = 3  # of a host, that are called in turn until one connects
ANSWER_TIMEOUT = 10.0  # seconds for each part of the answer, below the time limit of a task


class HttpWebhook:
    """The webhook at `ALERT_WEBHOOK_URL`."""

    def post(self, message_id: str, body: bytes) -> None:
        """Send one message, which the receiver may get twice under the same id.

        Raises `DeadLetter` if the address or the message is refused, and `NotNow` if the receiver
        is unreachable or busy. No error contains the address, which may be a secret.
        """
        url = settings().alert_webhook_url
        try:
            addresses = resolve(url, settings().alert_webhook_networks)
        except BadValue as error:
            raise DeadLetter(f"ALERT_WEBHOOK_URL {error.reason}: {error.fix}") from None
        except OSError as error:
            reason = f"the name of the webhook's host cannot be resolved: {type(error).__name__}"
            raise GatewayDown(reason) from None
        self._post(httpx.URL(url), addresses, headers(message_id, body), body)

    def _post(
        self, url: httpx.URL, addresses: list[str], signed: dict[str, str], body: bytes
    ) -> None:
        host = url.raw_host.decode().strip("[]")
        timeout = httpx.Timeout(ANSWER_TIMEOUT, connect=CONNECT_TIMEOUT)
        refusal: Exception = OSError("no address")
        with httpx.Client(
            verify=ssl.create_default_context(), timeout=timeout, trust_env=False
        ) as client:
            for address in addresses[:MAX_ADDRESSES]:
                request = client.build_request(
                    "POST",
                    url.copy_with(host=address),
                    content=body,
                    headers=signed | {"Host": url.netloc.decode()},
                    extensions={"sni_hostname": host},
                )
                try:
                    answer = client.send(request, stream=True)  # its body is not read
                except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                    refusal = error
                    continue
                except httpx.HTTPError as error:
                    kind = type(error).__name__
                    raise GatewayDown(f"the webhook did not answer: {kind}") from None
                answer.close()
                _check(answer)
                return
        reason = "certificate" if "CERTIFICATE" in str(refusal) else type(refusal).__name__
        raise GatewayDown(f"the webhook cannot be reached: {reason}")


def headers(message_id: str, body: bytes) -> dict[str, str]:
    """Return the headers that sign a message, with one signature for each secret."""
    at = str(int(clock.now().timestamp()))
    signed = b".".join((message_id.encode(), at.encode(), body))
    signatures = (
        base64.b64encode(hmac.digest(key_of(secret), signed, hashlib.sha256)).decode()
        for secret in settings().alert_webhook_secret.split()
    )
    return {
        "Content-Type": "application/json",
        "User-Agent": "Tidings",
        "webhook-id": message_id,
        "webhook-timestamp": at,
        "webhook-signature": " ".join(f"v1,{each}" for each in signatures),
    }


def _check(answer: httpx.Response) -> None:
    if answer.is_success:
        return
    if answer.is_redirect:
        raise DeadLetter(
            f"the webhook answers {answer.status_code}: redirects are not followed; "
            "set ALERT_WEBHOOK_URL to the address itself"
        )
    raise error_of("the webhook", answer.status_code, answer.headers.get("Retry-After"))
