"""`host:port`, as people write it in configuration files."""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Self

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from chassis.units import found

_ADDRESS = re.compile(r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+(?:%\w+)?)\]|(?P<host>[^\s:/@\[\]]*)):(?P<port>\d{1,5})", re.ASCII)


@dataclass(frozen=True)
class Address:
    """A host and a TCP port. An empty host means all interfaces, port 0 any free one."""

    host: str
    port: int

    @classmethod
    def parse(cls, value: object) -> Self:
        """The address in 'host:port', '[::1]:port' or ':port'; ValueError says how to write one."""
        if isinstance(value, cls):
            return value
        match = _ADDRESS.fullmatch(value) if isinstance(value, str) else None
        if match is None or int(match["port"]) > 65535:
            raise ValueError(f"{found(value)} is no address; write e.g. 127.0.0.1:9797, [::1]:9797, :9797")
        return cls(match["ipv6"] or match["host"] or "", int(match["port"]))

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        try:
            return ip_address(self.host.partition("%")[0]).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def is_wildcard(self) -> bool:
        """Whether it stands for all interfaces."""
        return self.host in ("", "0.0.0.0", "::")  # noqa: S104  # compared, not bound

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(cls.parse, serialization=core_schema.to_string_ser_schema())
