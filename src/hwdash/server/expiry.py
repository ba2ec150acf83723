"""A word in the log, at the start and once a day, about certificates of accounts that end soon."""

import asyncio
import logging

from hwdash.server.service import Service
from hwdash.storage.certificates import expiring_certificates, expiry_warning

EVERY_SECONDS = 24 * 3600

log = logging.getLogger(__name__)


async def warn_of_expiry(service: Service) -> None:
    """Until it is cancelled."""
    while True:
        now = service.clock()
        for each in await service.database.read(expiring_certificates, now):
            log.warning("%s", expiry_warning(each, now))
        await asyncio.sleep(EVERY_SECONDS)
