"""Fixtures that every folder of tests may use."""

from callers import no_accident
from service import client, service

__all__ = ["client", "no_accident", "service"]
