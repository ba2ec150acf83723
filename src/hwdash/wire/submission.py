"""Submission, its workflow status and its downloads (contract/api.md 3.3 to 3.5)."""

from typing import Annotated

from pydantic import BeforeValidator, Field, field_validator

from hwdash.vocabulary import SubmissionType
from hwdash.wire.base import Link, WireDate, WireModel, one_of
from hwdash.wire.update import AnyObject


class SubmissionCreate(WireModel):
    """The body of ``POST submissions``."""

    name: Annotated[str, Field(min_length=1, max_length=1000)]
    type: Annotated[SubmissionType, BeforeValidator(one_of(SubmissionType))]

    @field_validator("name")
    @classmethod
    def _not_blank(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("must not be blank")
        return value


class SubmissionUpdate(WireModel):
    """What a ``PATCH submissions/{id}`` may change; null is not given."""

    name: Annotated[str, Field(min_length=1, max_length=1000)] | None = None

    @field_validator("name")
    @classmethod
    def _not_blank(cls, value: str | None) -> str | None:
        if value is not None and not value.strip():
            raise ValueError("must not be blank")
        return value


class SubmissionUpdateBody(AnyObject, documented_as=SubmissionUpdate):
    """The body of ``PATCH submissions/{id}``: what changes, and any other property as it is."""


class WorkflowStatus(WireModel):
    """Where the workflow stands. ``state`` speaks of ``current_step`` only."""

    current_step: str
    state: str
    messages: list[str] = []
    error_report: str | None = None

    @field_validator("current_step", mode="before")
    @classmethod
    def _numeric_step(cls, value: object) -> object:
        # The live service was seen to send a number here (contract/observed.md 17).
        return str(value) if isinstance(value, int) else value


class Download(WireModel):
    """One item of ``downloads``."""

    type: str
    url: str


class Downloads(WireModel):
    """What can be uploaded to or downloaded from."""

    items: list[Download] = []
    messages: list[str] = []


class Submission(WireModel):
    """A submission as the API returns it."""

    id: int
    product_id: int
    name: str
    type: str
    links: list[Link] = []
    commit_status: str = ""
    workflow_status: WorkflowStatus | None = None
    downloads: Downloads | None = None
    is_extension_inf: bool = False
    is_universal: bool = False
    is_declarative_inf: bool = False
    created_by: str | None = None
    created_date_time: WireDate = None

    def download(self, kind: str) -> str | None:
        """The URL of the download of this type, None when it is not there (yet)."""
        items = self.downloads.items if self.downloads else []
        return next((item.url for item in items if item.type == kind), None)
