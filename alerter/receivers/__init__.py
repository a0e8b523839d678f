"""Receivers: one module each, and one line here.

A kind is a module with `KIND`, `Options` (its settings, over `ReceiverOptions`) and
`build(options, context) -> Receiver`; with `ear(options) -> Ear | None` if its provider tells who took an incident.
"""

from alerter.receivers import email, pagerduty, slack, sms, webhook

KINDS = (pagerduty, slack, email, sms, webhook)
