"""What the routes work with."""

from dataclasses import dataclass

from hwdash.clock import Clock
from hwdash.pipeline.engine import WorkflowQueue
from hwdash.server.page_tokens import PageTokens
from hwdash.server.refusals import Refusals
from hwdash.server.sas import SasSigner
from hwdash.server.tokens import TokenIssuer
from hwdash.server.uploads import Uploads
from hwdash.settings import Settings
from hwdash.storage.blobs import BlobStore
from hwdash.storage.database import Database


@dataclass(frozen=True, slots=True)
class Service:
    """The parts of a running service."""

    settings: Settings
    public_url: str
    database: Database
    blobs: BlobStore
    sas: SasSigner
    tokens: TokenIssuer
    pages: PageTokens
    workflows: WorkflowQueue
    uploads: Uploads
    refusals: Refusals
    clock: Clock

    @property
    def api_url(self) -> str:
        """The canonical base of the API's links."""
        return f"{self.public_url}/v2.0/my/hardware"
