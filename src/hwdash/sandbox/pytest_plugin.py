"""A pytest plugin: the fixture ``hwdash_sandbox`` is a sandbox for the whole session, started when a test asks for it.

Override ``hwdash_sandbox_certificates`` in a ``conftest.py`` to register what packages are signed with.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from hwdash.sandbox import Sandbox, running


@pytest.fixture(scope="session")
def hwdash_sandbox_certificates() -> Sequence[Path]:
    """The files of the certificates that packages may be signed with: none."""
    return ()


@pytest.fixture(scope="session")
def hwdash_sandbox(hwdash_sandbox_certificates: Sequence[Path]) -> Iterator[Sandbox]:
    """A running sandbox: url, tenant_id, client_id, client_secret, ca, root, data, requests."""
    with running(certificates=hwdash_sandbox_certificates) as sandbox:
        yield sandbox
