"""What the suite is pointed at, and what it was given to try with."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Application:
    """An application that may call the API."""

    tenant_id: str
    client_id: str
    client_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Target:
    """A service, and what its rows may use. What is None makes the rows that need it not applicable."""

    url: str
    """The origin of the API, without a slash at the end."""
    authority: str
    """Where the token endpoint is."""
    application: Application
    second: Application | None = None
    """An application of another account."""
    second_seller_id: int | None = None
    """The seller id of that account: what drivers are shared with."""
    foreign_chid: str | None = None
    """A CHID of another company's, which has no relationship with the account."""
    reader: Application | None = None
    """An application of the same account that may read and not submit."""
    package: Path | None = None
    """A signed driver package that the account may submit for attestation."""
    lengthy: Path | None = None
    """The same of many drivers, which takes a while: something can be done meanwhile. None: ``package`` has to do."""
    extension: Path | None = None
    """The same with an extension INF."""
    stranger: Path | None = None
    """The same, signed by a certificate that the account has not registered."""
    signature: str = "WINDOWS_v100_X64_GE_FULL"
    """The OS code that the package is submitted for."""
    ca: str | None = None
    """The certificate file of the TLS authority; None for the system's."""
    poll_seconds: float = 1.0
    timeout_seconds: float = 600.0
    """How long a workflow may take."""
