"""Sections of the configuration beside `queues`: a package or module each, and one line here."""

from exporter import host, reputation, services, stores

SECTIONS = (services, reputation, stores, host)
