"""Fixtures that every folder of tests may use."""

from service import client, service

__all__ = ["client", "service"]
