"""Why a probe failed: a small set of words, the same in errors, logs and `postwatch_service_failures_total`."""

from __future__ import annotations

import errno
import ssl
from enum import StrEnum

from chassis.secrets import SecretUnavailable


class Fault(StrEnum):
    """What a target did not do. There is no word for a defect of ours: that fails the sampler, not the target."""

    RESOLVE = "resolve"  # the name has no address, or nobody tells it in time
    REFUSED = "refused"  # nobody listens there, there is no way there, or the server takes nobody in
    TIMEOUT = "timeout"  # not done within the time limit
    TLS = "tls"  # the encrypted connection could not be set up
    CERTIFICATE = "certificate"  # expired, for another name, or of an authority that is not trusted
    STATUS = "status"  # the answer is an error, or has another status than expected
    BODY = "body"  # the answer does not hold what was expected
    PROTOCOL = "protocol"  # what came is no answer, or it was cut short
    AUTH = "auth"  # credentials or rights are missing or wrong


class ProbeFailed(Exception):
    """A target did not do what was expected of it. `message` is for people and holds no secret."""

    def __init__(self, fault: Fault, message: str) -> None:
        super().__init__(message)
        self.fault = fault
        self.message = message


# Limits of this process or machine: they say nothing of the target.
_OURS = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL}


def explain(error: Exception, *, connected: bool) -> ProbeFailed | None:
    """A failure of the network by its name; `connected`: the target had taken us in. None: no fault of the target."""
    match error:
        case ProbeFailed():
            return error
        case SecretUnavailable():
            return ProbeFailed(Fault.AUTH, str(error))
        case ssl.SSLCertVerificationError():
            return ProbeFailed(Fault.CERTIFICATE, _sentence(error.verify_message))
        case ssl.SSLError():
            return ProbeFailed(Fault.TLS, _sentence((getattr(error, "reason", None) or "no TLS").replace("_", " ")))
        case TimeoutError():
            return ProbeFailed(Fault.TIMEOUT, "no answer within the time limit")
        case OSError() if error.errno in _OURS:
            return None
        case ConnectionRefusedError():
            return ProbeFailed(Fault.REFUSED, "nobody listens there")
        case OSError() if connected:
            return ProbeFailed(Fault.PROTOCOL, f"the connection was lost: {_words(error)}")
        case OSError():
            return ProbeFailed(Fault.REFUSED, _words(error))
    return None


def _words(error: OSError) -> str:
    return _sentence(error.strerror or type(error).__name__)


def _sentence(text: str) -> str:
    """In lower case unless it starts with an abbreviation, and without a full stop."""
    text = text.strip().rstrip(".")
    return text if text[1:2].isupper() and not text.isupper() else text[:1].lower() + text[1:]
