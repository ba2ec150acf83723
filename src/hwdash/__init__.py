"""hwdash: Microsoft's Hardware dashboard API, self-hosted, with the driver toolkit that makes it real."""

__version__ = "0.1.0"
