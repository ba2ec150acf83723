"""What the signer refused, in the audit log.

The signer keeps every refusal in its own log, whoever asked; the service reads them there and makes each an entry
``sign_refused``. So a request that came past the service's workflow is an entry too, as soon as an honest process of
the service runs over the same database.
"""

import asyncio
import json
import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from hwdash.domain.audit import SERVICE, WORKFLOW, Act, act
from hwdash.server.service import Service
from hwdash.signing.errors import SignerUnavailable
from hwdash.signing.process import SignerProcess
from hwdash.storage.audit import append, last_details
from hwdash.storage.database import Database

ACTION = "sign_refused"
EVERY_SECONDS = 2.0

log = logging.getLogger(__name__)


async def keep_signer_refusals(service: Service, signer: SignerProcess) -> None:
    """Until it is cancelled."""
    after: int | None = None
    while True:
        await asyncio.sleep(EVERY_SECONDS)
        try:
            after = await asyncio.to_thread(take_refusals, service.database, signer, after)
        except SignerUnavailable as error:
            log.warning("the signer's refusals cannot be read now: %s", error)
        except Exception:
            # The database may be away for a moment.
            log.exception("the signer's refusals were not taken over; it is tried again")


def take_refusals(database: Database, signer: SignerProcess, after: int | None) -> int:
    """Put what was refused since into the audit log. ``after`` is what the last call returned: how far the signer's log
    was read; None at first, when the audit log tells. Raises SignerUnavailable.
    """
    if after is None:
        with database.reading() as connection:
            after = int(json.loads(last_details(connection, ACTION) or "{}").get("logEnd", 0))
    refusals, end = signer.refusals(after)
    if refusals:
        with database.writing() as connection:
            append(connection, *map(_act, refusals))
    return end


def _act(refusal: Mapping[str, Any]) -> Act:
    """The account that was named is a detail: nobody knows whether it was asked for in its name."""
    told = {name: refusal.get(name) for name in ("identity", "accountId", "productId", "requestSha256", "logEnd")}
    return act(
        SERVICE,
        datetime.fromisoformat(refusal["time"]),
        (WORKFLOW, "signer"),
        ACTION,
        ("submission", refusal.get("submissionId", 0)),
        reasons=refusal["refused"],
        **told,
    )
