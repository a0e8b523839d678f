"""Names for what goes wrong with Redis, and what a user can do about it."""

from __future__ import annotations

from redis import exceptions
from redis.sentinel import MasterNotFoundError

from exporter.model import Reason, SampleFailed


def explain(error: Exception, address: str) -> SampleFailed:
    """The failure as users meet it: a reason, the server's words, what to do. `address` has no password."""
    text = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    reason, advice = Reason.PROTOCOL, ""
    match error:
        case exceptions.AuthenticationError():
            reason, advice = Reason.AUTH, "check the user and the password in the URL"
        case exceptions.NoPermissionError():
            reason, advice = Reason.PERMISSION, "allow the user this command and these keys (ACL SETUSER)"
        case exceptions.BusyLoadingError():
            reason, advice = Reason.REFUSED, "the server is loading its data"
        case exceptions.ClusterError() | exceptions.RedisClusterException() | exceptions.AskError():
            reason, advice = Reason.REFUSED, "check the addresses, and that all nodes of the cluster run"
        case exceptions.MaxConnectionsError():
            reason, advice = Reason.OVERLOADED, "the server has no connection left"
        case exceptions.TimeoutError() | TimeoutError():
            reason, advice = Reason.TIMEOUT, "the server does not answer"
        case MasterNotFoundError():
            reason, advice = (
                Reason.RESOLVE,
                "check the service's name, and that the Sentinels agree on a master",
            )
        case exceptions.ConnectionError() | OSError():
            lower = text.lower()
            if "max number of clients" in lower:
                reason, advice = Reason.OVERLOADED, "the server has no connection left"
            elif "ssl" in lower or "certificate" in lower:
                reason, advice = Reason.TLS, "check the scheme (rediss://) and the certificates in the URL"
            elif "name or service" in lower or "resolution" in lower or "no address" in lower:
                reason, advice = Reason.RESOLVE, "check the host in the URL"
            elif "timed out" in lower:
                reason, advice = Reason.TIMEOUT, "the server does not answer"
            else:
                reason, advice = Reason.REFUSED, "check the address, and that the server runs"
        case ValueError() | TypeError():
            reason, advice = Reason.MISMATCH, "check the URL"
        case exceptions.ResponseError():
            if text.startswith("NOAUTH"):
                reason, advice = Reason.AUTH, "give a password in the URL"
            elif text.startswith("NOPERM"):
                reason, advice = Reason.PERMISSION, "allow the user this command and these keys (ACL SETUSER)"
            elif text.startswith("WRONGTYPE"):
                reason, advice = Reason.MISMATCH, "a key has another type than the layout says"
    return SampleFailed(reason, f"{address}: {text}", advice, about=address)
