"""The class of an error is told, its words never."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.jobs.errors import LONGEST_NAME, error_class, is_timeout
from exporter.model import OTHER

TRACEBACK = """Traceback (most recent call last):
  File "/srv/app/worker.py", line 41, in run
    send(job)
  File "/srv/app/mail.py", line 7, in send
    raise {}
"""
NO_CLASS = OTHER

PYTHON = {
    "ValueError: bad address bob@example.com": "ValueError",
    "ZeroDivisionError: division by zero": "ZeroDivisionError",
    "smtplib.SMTPServerDisconnected: Connection unexpectedly closed": "SMTPServerDisconnected",
    "smtplib.SMTPRecipientsRefused: {'bob@example.com': (550, b'no')}": "SMTPRecipientsRefused",
    "psycopg.errors.UniqueViolation: duplicate key value violates unique constraint": "UniqueViolation",
    "TimeoutError": "TimeoutError",
    "requests.exceptions.ConnectTimeout: HTTPSConnectionPool(host='api.example.com', port=443)": "ConnectTimeout",
    "celery.exceptions.SoftTimeLimitExceeded()": "SoftTimeLimitExceeded",
    "KeyError('password')": "KeyError",
    "socket.timeout: timed out": "timeout",
    "socket.gaierror: [Errno -2] Name or service not known": "gaierror",
    "KeyboardInterrupt": "KeyboardInterrupt",
    TRACEBACK.format("ValueError") + "ValueError: bad address bob@example.com": "ValueError",
    TRACEBACK.format("UniqueViolation")
    + "psycopg.errors.UniqueViolation: duplicate key\nDETAIL:  Key (email)=(bob@example.com)": "UniqueViolation",
    TRACEBACK.format("x") + "ValueError: two\nlines, of which\nSecretBob: is the last": "ValueError",
    TRACEBACK.format("KeyError")
    + "KeyError: 'a'\n\nDuring handling of the above exception, another exception occurred:\n\n"
    + TRACEBACK.format("RuntimeError")
    + "app.jobs.JobFailed: bob": "JobFailed",
    TRACEBACK.format("x"): NO_CLASS,
    'Traceback rv/app/mail.py", line 7, in send\n    raise X\napp.MailboxFull: bob\nSecretBob: y': "MailboxFull",
    "Traceback was cut within the\nSecretBob: message": NO_CLASS,
}
JAVA = {
    "java.lang.NullPointerException": "NullPointerException",
    "java.net.SocketTimeoutException: Read timed out\n\tat java.base/java.net.Socket.read(Socket.java:1)": (
        "SocketTimeoutException"
    ),
    'Exception in thread "main" java.lang.OutOfMemoryError: Java heap space': "OutOfMemoryError",
    "java.lang.RuntimeException: java.sql.SQLException: no": "RuntimeException",
    "System.Net.Http.HttpRequestException: Response status code": "HttpRequestException",
}
RUBY = {
    "ActiveRecord::RecordNotFound: Couldn't find User with 'id'=5": "RecordNotFound",
    "NoMethodError (undefined method `name' for nil:NilClass)": "NoMethodError",
    "Net::ReadTimeout with #<TCPSocket:(closed)>": "ReadTimeout",
    "Errno::ECONNREFUSED: Connection refused - connect(2)": NO_CLASS,
    "undefined method `name' for nil:NilClass (NoMethodError)": NO_CLASS,
}
JAVASCRIPT = {
    "TypeError: Cannot read properties of undefined (reading 'id')\n    at send (/srv/app.js:3:9)": "TypeError",
    "Error: connect ECONNREFUSED 10.0.0.1:5432": "Error",
    "Uncaught ReferenceError: bob is not defined": "ReferenceError",
    "Uncaught (in promise) TypeError: x is not a function": "TypeError",
    "Error [ERR_HTTP_HEADERS_SENT]: Cannot set headers": "Error",
    "AxiosError: Request failed with status code 429": "AxiosError",
}
OTHERS = {
    "dial tcp 10.0.0.1:5432: connect: connection refused": NO_CLASS,
    "context deadline exceeded": NO_CLASS,
    "pq: duplicate key value violates unique constraint": NO_CLASS,
    "panic: runtime error: index out of range": NO_CLASS,
    'ERROR:  relation "bob" does not exist': NO_CLASS,
    'FATAL:  password authentication failed for user "bob"': NO_CLASS,
    '{"name": "TimeoutError", "message": "bob@example.com"}': "TimeoutError",
    '{"type": "urn.mail.MailboxFull", "detail": "bob"}': "MailboxFull",
    '{"name": "Bob", "type": "ValidationError"}': "ValidationError",
    '{"class": "App::DeliveryError", "args": []}': "DeliveryError",
    '{"code": 550, "message": "SecretBob: no"}': NO_CLASS,
    '{"name": "TimeoutError", "message": "cut o': "TimeoutError",
    '{"a": ' * 50_000: NO_CLASS,
    '{"message": "it said \\"name\\": \\"BobSmith\\"", "name": "MailboxFull", "stack": "at send (/srv': "MailboxFull",
    '["TimeoutError"]': NO_CLASS,
    "OAuth2TokenExpired: x": NO_CLASS,
    "IOError: x": "IOError",
    "IsADirectoryError: x": "IsADirectoryError",
    "S3UploadFailedError: x": "S3UploadFailedError",
    "Http2StreamException: x": "Http2StreamException",
    "com.acme.Outer$InnerException: x": "InnerException",
    "_InactiveRpcError: x": "_InactiveRpcError",
    "App\\Exceptions\\MailException: bob": "MailException",
}
PRIVATE = [
    "bob@example.com: mailbox unavailable",
    "Bob: not found",
    "Müller: not found",
    "McDonald: not found",
    "MacArthur (customer) has left",
    "DeVries: unknown",
    "smtp.example.com: no answer",
    "192.0.2.7:25 refused",
    "[2001:db8::1]:25 refused",
    "password=hunter2Secret",
    "hunter2Secret: wrong password",
    "AKIAIOSFODNN7EXAMPLE: access denied",
    "sk_live_4eC39HqLyjWDarjtT1zdp7dc: invalid key",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJib2IifQ.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV: expired",
    "ghp_16C7e42F292c6912E7710c838347Ae178B4a (revoked)",
    "Mailbox full",
    "Rejected: listed at zen.example.org",
    "550 5.1.1 User unknown",
    "Could not send to Bob Smith",
    "",
    "   ",
    ":",
    "X" * 5000 + "Error: too long for a label",
]
KNOWN = PYTHON | JAVA | RUBY | JAVASCRIPT | OTHERS


@pytest.mark.parametrize(("text", "name"), KNOWN.items(), ids=range(len(KNOWN)))
def test_what_programs_write(text: str, name: str) -> None:
    assert error_class(text) == name


@pytest.mark.parametrize("text", PRIVATE, ids=range(len(PRIVATE)))
def test_no_name_address_or_secret_is_taken_for_a_class(text: str) -> None:
    assert error_class(text) == OTHER


def test_there_may_be_no_error() -> None:
    assert error_class(None) == OTHER


@given(st.text())
def test_no_word_of_a_message_is_told(message: str) -> None:
    assert error_class(f"ValueError: {message}") == "ValueError"


@given(st.text())
def test_any_text_is_borne(text: str) -> None:
    assert len(error_class(text)) <= LONGEST_NAME


def test_a_long_text_is_read_at_once() -> None:
    began = time.process_time()
    for text in ("a" * 10**5, "a." * 10**5, "Aa" * 10**5, " " * 10**5, "Uncaught " * 10**4, "Traceback \n" * 10**4):
        error_class(text)
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    "name",
    ["TimeoutError", "ReadTimeout", "SoftTimeLimitExceeded", "DeadlineExceeded", "timeout", "SocketTimeoutException"],
)
def test_running_out_of_time_is_known(name: str) -> None:
    assert is_timeout(name)


@pytest.mark.parametrize("name", ["ValueError", "RuntimeError", "Interrupt", OTHER])
def test_other_errors_are_no_timeouts(name: str) -> None:
    assert not is_timeout(name)
