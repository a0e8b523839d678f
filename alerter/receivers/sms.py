"""SMS by Twilio, or whoever speaks its API: one resource, one form, one request for each number.

Source: https://www.twilio.com/docs/messaging/api/message-resource#create-a-message-resource. It knows no
repetition as such: after a time-out the number is tried once more, and no more.
"""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlencode

from pydantic import Field, StringConstraints, ValidationInfo, field_validator

from alerter.messages.telling import Telling, tell
from alerter.messages.templates import Template
from alerter.messages.texts import LONGEST_SMS, fit_sms, short
from alerter.model import Action, Reason
from alerter.receivers.base import Accepted, DeliveryFailed, Message, Rate, ReceiverContext, Tells
from alerter.receivers.options import HttpOptions, ServiceUrl
from alerter.receivers.recipients import Recipients
from alerter.receivers.wire import Answer, Wire, reveal
from chassis.secrets import Secret
from chassis.settings import Settings

KIND = "sms"
Number = Annotated[str, StringConstraints(pattern=r"^\+[1-9]\d{6,14}$")]
_ADVICE = {
    20003: "; the account or its token is refused",
    21211: "; this is no number",
    21408: "; the account may not send to this country",
    21610: "; the recipient has unsubscribed by STOP",
    21614: "; this number takes no SMS",
}


class SmsTemplates(Settings):
    """Texts instead of the built-in ones."""

    text: Template | None = Field(None, description="The SMS; 1600 characters at most, 160 fit into one.")


class Options(HttpOptions):
    """Sends SMS."""

    kind: Literal["sms"] = Field(description="The way to tell.")
    url: ServiceUrl = Field("https://api.twilio.com", description="Where the API is.")
    account_sid: Annotated[str, StringConstraints(pattern=r"^AC[0-9a-fA-F]{32}$")] = Field(description="The account.")
    auth_token: Secret = Field(description="The account's token.")
    sender: Annotated[str, StringConstraints(min_length=1, max_length=50)] | None = Field(
        None, alias="from", description="Number, short code or name that it comes from."
    )
    messaging_service_sid: Annotated[str, StringConstraints(pattern=r"^MG[0-9a-fA-F]{32}$")] | None = Field(
        None, validate_default=True, description="A messaging service that chooses the number, instead of `from`."
    )
    to: Annotated[tuple[Number, ...], Field(min_length=1, max_length=50)] = Field(
        description="Who gets it: numbers such as +15005550009."
    )
    rate: Rate = Field(Rate(1, 1), description="Messages at most; above it they are told as one that counts them.")
    templates: SmsTemplates = Field(default_factory=SmsTemplates, description="Texts of your own.")

    @field_validator("messaging_service_sid")
    @classmethod
    def _one_sender(cls, sid: str | None, info: ValidationInfo) -> str | None:
        if "sender" in info.data and (info.data["sender"] is None) == (sid is None):
            raise ValueError("either from or messaging_service_sid is needed")
        return sid

    def preview(self, telling: Telling) -> str:
        """As `ReceiverOptions.preview`."""
        return f"{short(telling)}\n"


class SmsReceiver:
    """One account and its numbers."""

    kind = KIND
    tells = Tells.ALERT
    actions = frozenset({Action.TRIGGER, Action.RESOLVE})  # an SMS for each change would be too many

    def __init__(self, options: Options, context: ReceiverContext) -> None:
        self.name = options.name
        self.rate = options.rate
        self._options = options
        self._context = context
        self._wire = Wire(options.timeout, [options.auth_token], options.ca_file)

    def send(self, message: Message) -> Accepted:
        """As `Receiver.send`."""
        if message.action not in self.actions:
            return Accepted(note=f"{message.action} is not told by SMS")
        token = reveal(self._options.auth_token, "auth_token")
        telling = tell(message, self._context.clock.now(), self._context.external_url)
        text = self._context.templates.text(
            self.name, self._options.templates.text, telling, lambda: short(telling), limit=LONGEST_SMS
        )
        recipients = Recipients(self._options.to, message.progress)
        for number in recipients.pending:
            try:
                self._send(number, fit_sms(text), token)
            except DeliveryFailed as failure:
                recipients.failed(number, failure)
                if failure.opens_circuit:
                    break
            else:
                recipients.accepted(number)
        return recipients.outcome()

    def close(self) -> None:
        """As `Receiver.close`."""
        self._wire.close()

    def _send(self, number: str, text: str, token: str) -> None:
        options = self._options
        form = {"To": number, "Body": text}
        if options.sender is not None:
            form["From"] = options.sender
        if options.messaging_service_sid is not None:
            form["MessagingServiceSid"] = options.messaging_service_sid
        answer = self._wire.post(
            f"{options.url}/2010-04-01/Accounts/{options.account_sid}/Messages.json",
            urlencode(form).encode(),
            "application/x-www-form-urlencoded",
            auth=(options.account_sid, token),
            once=True,
        )
        if answer.status == 201:
            return
        if 200 <= answer.status < 300:  # something between answers in its place
            text = f"{answer.host} answered {answer.status} instead of 201; is a proxy in between?"
            raise DeliveryFailed(Reason.UNAVAILABLE, text, retry=True)
        raise self._failure(answer)

    def _failure(self, answer: Answer) -> DeliveryFailed:
        said = answer.content
        try:
            code, told = int(said.get("code") or 0), str(said.get("message", ""))
        except (ValueError, AttributeError, TypeError):
            code, told = 0, answer.text
        text = f"{answer.host} said {code}: {self._wire.said(told)}{_ADVICE.get(code, '')}"
        if code == 20003:
            return DeliveryFailed(Reason.AUTH, text, retry=True, opens_circuit=True)
        if code and answer.status in (400, 403, 404):
            # About this number or this sender, not about us; 403 comes for countries too.
            return DeliveryFailed(Reason.REJECTED, text, retry=False)
        return self._wire.failure(answer, told)


def build(options: Options, context: ReceiverContext) -> SmsReceiver:
    """A receiver of this kind."""
    return SmsReceiver(options, context)
