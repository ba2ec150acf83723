"""A line at CRITICAL in the service's log for each time that an officer does alone what needs more people.

It is said when it happens, at each start and once a day, until another officer has acknowledged it.
"""

import asyncio
import logging
from datetime import datetime, timedelta

from hwdash.server.service import Service
from hwdash.storage.officers import all_broken_glass

EVERY_SECONDS = 10
AGAIN = timedelta(days=1)

log = logging.getLogger(__name__)


async def warn_of_broken_glass(service: Service) -> None:
    """Until it is cancelled."""
    said: dict[str, datetime] = {}
    while True:
        try:
            now = service.clock()
            for each in await service.database.read(all_broken_glass, unacknowledged=True):
                if each.id not in said or now >= said[each.id] + AGAIN:
                    said[each.id] = now
                    log.critical("%s broke the glass (%s): %s: %s", each.broken_by, each.id, each.act, each.reason)
        except Exception:
            # The database may be away for a moment.
            log.exception("broken glass was not looked for; it is tried again")
        await asyncio.sleep(EVERY_SECONDS)
