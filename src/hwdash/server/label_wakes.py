"""The end of the waits of shipping labels: of what is due, a new workflow is started.

Whoever ends a wait, or knows when it ends, sets the label's wake_at; this looks at it by the service's clock. Each
process of a service does, and each wait is ended by one of them.
"""

import asyncio
import logging
from datetime import datetime

import sqlalchemy as sa

from hwdash.pipeline.engine import WorkflowQueue
from hwdash.pipeline.label import course_of
from hwdash.server.service import Service
from hwdash.server.workflow_start import WorkflowStart
from hwdash.storage.label_progress import is_label_due, take_due_labels

EVERY_SECONDS = 1.0

log = logging.getLogger(__name__)


async def wake_labels(service: Service, workflows: WorkflowStart) -> None:
    """Until it is cancelled."""
    while True:
        await asyncio.sleep(EVERY_SECONDS)
        try:
            now = service.clock()
            if await service.database.read(is_label_due, now):
                await workflows.wait()
                await service.database.write(wake_due_labels, service.workflows, now)
        except Exception:
            # The database may be away for a moment. What is due stays so.
            log.exception("shipping labels were not woken; it is tried again")


def wake_due_labels(connection: sa.Connection, queue: WorkflowQueue, now: datetime) -> int:
    """Start the workflows of the labels whose waits are over; how many there were."""
    due = take_due_labels(connection, now)
    for each in due:
        queue.enqueue(connection, course_of(each.destination), each.id, f"{each.run}.{each.wakes}")
    return len(due)
