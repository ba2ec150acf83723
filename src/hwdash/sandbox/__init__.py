"""What turns the service into a rehearsal stage: scenarios, a movable clock, an inspector of every request.

``running()`` is a sandbox for the length of a ``with`` block; pytest has it as the fixture ``hwdash_sandbox``.
"""

from hwdash.sandbox.instance import Sandbox, SandboxFailed, running
from hwdash.sandbox.requests import Request, Requests

__all__ = ["Request", "Requests", "Sandbox", "SandboxFailed", "running"]
