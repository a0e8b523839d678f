"""Stand-ins for those who reach people: servers of ours that hold to the documented wire, and fail when told to.

They keep what they took, for tests to compare and for the demo to show: nobody is really told.
"""

from demo.providers.exchange import Fault, Request
from demo.providers.hook import Hook
from demo.providers.pagerduty import PagerDuty
from demo.providers.server import StandIn
from demo.providers.slack import Slack
from demo.providers.twilio import Twilio

__all__ = ["Fault", "Hook", "PagerDuty", "Request", "Slack", "StandIn", "Twilio"]
