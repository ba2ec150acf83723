"""Shipping labels (contract/api.md 4.11 to 4.15)."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import BeforeValidator

from hwdash.domain.audience import is_for_tests
from hwdash.domain.errors import Code, DomainError, not_found
from hwdash.domain.label import Delivery, Driver, Label, Owner, Reach, check_create, seller_id
from hwdash.domain.label_change import LabelChange, LabelState, changed_label, check_cancel, check_changeable
from hwdash.domain.policy import Policy
from hwdash.domain.targets import DriverRow, Finding, chid_findings, spelt_rows, unknown_rows
from hwdash.pipeline.label import course_of
from hwdash.server.api.pages import PageQuery
from hwdash.server.api.products import product_types
from hwdash.server.api.submissions import READ, own_submission
from hwdash.server.errors import invalid_input
from hwdash.server.page_tokens import Place
from hwdash.server.route import Caller
from hwdash.server.service import Service
from hwdash.storage.accounts import account, known_accounts
from hwdash.storage.audiences import audiences_of
from hwdash.storage.driver_rows import inf_names, known_rows, write_missing_driver_rows
from hwdash.storage.labels import (
    cancel_label as write_cancelled,
)
from hwdash.storage.labels import (
    change_label,
    chids_of,
    find_label,
    hardware_ids_of,
    insert_label,
    list_labels,
    states_of,
)
from hwdash.vocabulary import SYSTEM_PRODUCT_TYPES, LabelDestination, TargetingAction
from hwdash.wire.base import Link, WireModel, collection, link, link_document, rfc3339
from hwdash.wire.label import (
    OLDER_NAMES,
    LabelCreate,
    LabelCreateBody,
    LabelUpdate,
    LabelUpdateBody,
    PublishingSpecifications,
    ShippingLabel,
    TargetedHardwareId,
    Targeting,
)
from hwdash.wire.update import changed_properties, read_sound


def _flag(value: object) -> object:
    return False if isinstance(value, str) and not value.strip() else value


_Flag = Annotated[bool, BeforeValidator(_flag)]


class TargetingQuery(WireModel):
    """Whether the label's targeting is wanted: ``true``, ``True`` or ``1``."""

    include_targeting_info: _Flag = False


class LabelListQuery(PageQuery):
    """Which part of the collection, and whether with the labels' targeting."""

    include_targeting_info: _Flag = False

    def links(self, service: Service, caller: Caller, url: str, size: int | None, last: Place | None) -> list[Link]:
        """The links of the page; its own is the collection's (contract/api.md 4.11)."""
        return [link(url, "self"), *super().links(service, caller, url, size, last)[1:]]


def list_of_labels(
    connection: sa.Connection,
    service: Service,
    caller: Caller,
    product_id: int,
    submission_id: int,
    page: LabelListQuery,
) -> dict[str, Any]:
    """GET shippingLabels: all of them, unless a page is asked for."""
    submission, _ = own_submission(connection, caller, product_id, submission_id)
    url = _collection_url(service, product_id, submission_id)
    size = page.page_size
    rows = list_labels(connection, submission, limit=size and size + 1, after=page.after(service, caller, url))
    shown = rows[:size]
    last = (shown[-1].created_at, shown[-1].id) if len(rows) > len(shown) else None
    targets = _targeting(connection, shown) if page.include_targeting_info else {}
    documents = [_to_wire(service, submission, row, targets.get(row.id)) for row in shown]
    return collection(documents, page.links(service, caller, url, size, last))


_NO_TARGETING = TargetingQuery()


def get_label(
    connection: sa.Connection,
    service: Service,
    caller: Caller,
    product_id: int,
    submission_id: int,
    label_id: int,
    wanted: TargetingQuery = _NO_TARGETING,
) -> dict[str, Any]:
    """GET shippingLabels/{label_id}."""
    submission, _, row = _seen_label(connection, caller, product_id, submission_id, label_id)
    targets = _targeting(connection, [row]) if wanted.include_targeting_info else {}
    return _to_wire(service, submission, row, targets.get(row.id))


def create_label(
    connection: sa.Connection,
    service: Service,
    caller: Caller,
    product_id: int,
    submission_id: int,
    body: LabelCreateBody,
) -> dict[str, Any]:
    """POST shippingLabels."""
    submission, product = own_submission(connection, caller, product_id, submission_id)
    wanted, problem = read_sound(LabelCreate, body.members, OLDER_NAMES)
    findings: list[Finding] = [*invalid_input(problem).targets] if problem else []
    driver = _driver(connection, submission, product)
    targeting, specifications = wanted.targeting, wanted.publishing_specifications
    recipient = wanted.recipient_specifications
    rows, wrong = _read_rows(connection, submission_id, targeting.hardware_ids)
    chids = [each.chid for each in targeting.chids]
    findings += [*wrong, *chid_findings(chids)]
    receiver = recipient.receiver_publisher_id if recipient is not None else None
    receiver_id = seller_id(receiver or "")
    named = [*(specifications.visible_to_accounts if specifications else ()), *filter(None, [receiver_id])]
    label = Label(
        name=wanted.name,
        destination=wanted.destination,
        delivery=_delivery(specifications),
        receiver=receiver,
        rows=[row for row in rows if row is not None],
        chids=chids,
        reach=_reach(targeting),
    )
    owner = _owner(connection, caller, named)
    check_create(driver, owner, label, findings)
    now = service.clock()
    is_shared = wanted.destination == LabelDestination.ANOTHER_PARTNER
    row = insert_label(
        connection,
        account_id=caller.account_id,
        product_id=product_id,
        submission_id=submission_id,
        name=str(wanted.name),
        destination=str(wanted.destination),
        specifications=_recipient(wanted) if is_shared else _published(wanted),
        targeting=_stored(label.reach),
        justifications=[{"when": rfc3339(now), "text": text} for text in _justifications(wanted)],
        receiver_id=receiver_id if is_shared else None,
        # A driver is shared with all that it has when nothing is chosen.
        hardware_ids=None if is_shared and not label.rows else dict.fromkeys(label.rows),
        chids=dict.fromkeys(chids),
        created_by=caller.client_id,
        now=now,
    )
    service.workflows.enqueue(connection, course_of(row.destination), row.id, f"{row.run}.{row.wakes}")
    return _to_wire(service, submission, row, None)


def update_label(
    connection: sa.Connection,
    service: Service,
    caller: Caller,
    product_id: int,
    submission_id: int,
    label_id: int,
    body: LabelUpdateBody,
) -> None:
    """PATCH shippingLabels/{label_id}."""
    submission, product, row = _seen_label(connection, caller, product_id, submission_id, label_id)
    check_changeable(_state(caller, row))
    driver = _driver(connection, submission, product)
    wanted, problem = read_sound(LabelUpdate, body.members, OLDER_NAMES)
    findings: list[Finding] = [*invalid_input(problem).targets] if problem else []
    targeting = wanted.targeting
    adds = [each.action != TargetingAction.REMOVE for each in targeting.hardware_ids]
    rows, wrong = _read_rows(connection, submission_id, targeting.hardware_ids, adds)
    findings += [*wrong, *chid_findings([each.chid for each in targeting.chids])]
    state = _state(
        caller,
        row,
        states_of(connection, label_id),
        {each.chid: each.state for each in chids_of(connection, [label_id])},
    )
    given = targeting.model_fields_set
    releases, builds = targeting.in_service_publish_info, targeting.co_eng_driver_publish_info
    change = LabelChange(
        rows=rows,
        row_actions=[each.action for each in targeting.hardware_ids],
        chids=[each.chid for each in targeting.chids],
        chid_actions=[each.action for each in targeting.chids],
        audiences=targeting.restricted_to_audiences if "restricted_to_audiences" in given else None,
        releases=(releases.flooring, releases.ceiling) if "in_service_publish_info" in given else None,
        builds=(builds.flooring_build_number, builds.ceiling_build_number)
        if "co_eng_driver_publish_info" in given
        else None,
        justification=targeting.business_justification,
    )
    others = changed_properties(
        body.members,
        _to_wire(service, submission, row, None),
        (LabelCreate, ShippingLabel),
        aside=("targeting", "targetingInfo", "workflowStatus", "links"),
    )
    changes, reach = changed_label(driver, _owner(connection, caller, []), state, change, findings, others)
    now = service.clock()
    text = targeting.business_justification
    run = change_label(
        connection,
        row,
        targeting=_stored(reach),
        justifications=[*row.justifications, *([{"when": rfc3339(now), "text": text}] if text else [])],
        changes=changes,
        now=now,
    )
    if run is None:
        check_changeable(_state(caller, find_label(connection, submission, label_id) or row))
        raise DomainError(Code.INVALID_INPUT, "The label was changed in the meantime. Look at it, then try again.")
    service.workflows.enqueue(connection, course_of(row.destination), row.id, f"{run}.{row.wakes}")


def cancel_label(
    connection: sa.Connection, service: Service, caller: Caller, product_id: int, submission_id: int, label_id: int
) -> None:
    """PUT cancel: the label's workflow ends it when it comes to that."""
    submission, _, row = _seen_label(connection, caller, product_id, submission_id, label_id)
    if check_cancel(_state(caller, row)) and not write_cancelled(connection, label_id, service.clock()):
        check_cancel(_state(caller, find_label(connection, submission, label_id) or row))


# What the rules look at


def _seen_label(
    connection: sa.Connection, caller: Caller, product_id: int, submission_id: int, label_id: int
) -> tuple[sa.Row[Any], sa.Row[Any], sa.Row[Any]]:
    """The caller's submission, its product, and the label below it. Raises entityNotFound."""
    submission, product = own_submission(connection, caller, product_id, submission_id)
    row = find_label(connection, submission, label_id)
    if row is None:
        raise not_found("shipping label", label_id)
    return submission, product, row


def _driver(connection: sa.Connection, submission: sa.Row[Any], product: sa.Row[Any]) -> Driver:
    return Driver(
        origin_type=product.origin_type,
        test_harness=product.test_harness,
        state=submission.state,
        # One that was prepared by an older release has no rows yet.
        is_prepared=write_missing_driver_rows(connection, submission.id),
        is_system=not SYSTEM_PRODUCT_TYPES.isdisjoint(product_types(product)),
        is_extension=submission.is_extension_inf,
        is_test_sign=bool(product.attributes.get("isTestSign")),
        enforces_chids=submission.enforces_chids,
        is_deprecated=submission.is_deprecated,
        is_recalled=submission.recalled_at is not None,
    )


def _owner(connection: sa.Connection, caller: Caller, named: Sequence[int]) -> Owner:
    known = account(connection, caller.account_id)
    return Owner(
        account_id=caller.account_id,
        policy=Policy.of(known.policy if known is not None else {}),
        roles=caller.roles,
        audiences={each.id: is_for_tests(each) for each in audiences_of(connection, caller.account_id)},
        sellers=known_accounts(connection, named),
    )


def _delivery(given: PublishingSpecifications | None) -> Delivery | None:
    if given is None:
        return None
    info = given.additional_info_for_ms_approval
    return Delivery(
        is_automatic=given.is_automatic,
        manual_acquisition=given.manual_acquisition,
        contact=info.microsoft_contact if info else None,
        validations=info.validations_performed if info else None,
        oems=info.affected_oems if info else (),
        visible_to=given.visible_to_accounts,
    )


def _reach(targeting: Targeting) -> Reach:
    releases, builds = targeting.in_service_publish_info, targeting.co_eng_driver_publish_info
    return Reach(
        audiences=targeting.restricted_to_audiences,
        floor=releases.flooring,
        ceiling=releases.ceiling,
        floor_build=builds.flooring_build_number,
        ceiling_build=builds.ceiling_build_number,
    )


def _read_rows(
    connection: sa.Connection,
    submission_id: int,
    entries: Sequence[TargetedHardwareId],
    are_added: Sequence[bool] | None = None,
) -> tuple[list[DriverRow | None], list[Finding]]:
    """The rows that entries name, and what is wrong with them. What is not added need not be in the metadata."""
    if not entries:
        return [], []
    rows, findings = spelt_rows(entries, inf_names(connection, submission_id))
    asked = rows if are_added is None else [row if add else None for row, add in zip(rows, are_added, strict=True)]
    known = known_rows(connection, submission_id, (row for row in asked if row is not None))
    return rows, [*findings, *unknown_rows(asked, known)]


def _state(
    caller: Caller, row: sa.Row[Any], rows: dict[DriverRow, str] | None = None, chids: dict[str, str] | None = None
) -> LabelState:
    stored = Targeting.model_validate(row.targeting)
    return LabelState(
        label=Label(row.name, row.destination, None, None, (), (), _reach(stored)),
        is_own=row.account_id == caller.account_id,
        current_step=row.current_step,
        state=row.state,
        is_cancelled=row.is_cancelled,
        rows=rows or {},
        chids=chids or {},
    )


# What is stored, and shown


def _published(wanted: LabelCreate) -> dict[str, Any]:
    given = wanted.publishing_specifications or PublishingSpecifications()
    return given.to_wire() | {"manualAcquisition": not given.is_automatic}


def _recipient(wanted: LabelCreate) -> dict[str, Any]:
    given = wanted.recipient_specifications
    return {} if given is None else given.to_wire()


def _justifications(wanted: LabelCreate) -> Iterable[str]:
    """Those of both places (contract/api.md section 11, 45), each once."""
    specifications = wanted.publishing_specifications
    info = specifications.additional_info_for_ms_approval if specifications else None
    texts = [info.business_justification if info else None, wanted.targeting.business_justification]
    return dict.fromkeys(text for text in texts if text)


def _stored(reach: Reach) -> dict[str, Any]:
    """targeting without hardware ids and CHIDs, as it goes over the wire."""
    releases = {"flooring": reach.floor, "ceiling": reach.ceiling}
    builds = {"flooringBuildNumber": reach.floor_build, "ceilingBuildNumber": reach.ceiling_build}
    stored: dict[str, Any] = {"restrictedToAudiences": list(dict.fromkeys(reach.audiences))}
    for name, info in (("inServicePublishInfo", releases), ("coEngDriverPublishInfo", builds)):
        if given := {each: value for each, value in info.items() if value is not None}:
            stored[name] = given
    return stored


_Targets = tuple[list[dict[str, str]], list[dict[str, str]]]


def _targeting(connection: sa.Connection, labels: Sequence[sa.Row[Any]]) -> dict[int, _Targets]:
    """The hardware ids and CHIDs of labels as they go over the wire."""
    found: dict[int, _Targets] = {label.id: ([], []) for label in labels}
    for label_id, bundle, inf, os_code, hardware_id, state in hardware_ids_of(connection, list(found)):
        found[label_id][0].append(
            {
                "bundleId": bundle,
                "infId": inf,
                "operatingSystemCode": os_code,
                "pnpString": hardware_id,
                "distributionState": state,
            }
        )
    for each in chids_of(connection, list(found)):
        found[each.label_id][1].append({"chid": each.chid, "distributionState": each.state})
    return found


def _collection_url(service: Service, product_id: int, submission_id: int) -> str:
    return f"{service.api_url}/products/{product_id}/submissions/{submission_id}/shippingLabels"


def _to_wire(service: Service, submission: sa.Row[Any], row: sa.Row[Any], targets: _Targets | None) -> dict[str, Any]:
    """wire/label.py's ShippingLabel of a row, below the submission where it is seen; ``targets`` None leaves the
    targeting out.
    """
    url = f"{_collection_url(service, submission.product_id, submission.id)}/{row.id}"
    is_shared = row.destination == LabelDestination.ANOTHER_PARTNER
    document = {
        "id": row.id,
        "productId": submission.product_id,
        "submissionId": submission.id,
        "name": row.name,
        "destination": row.destination,
        "recipientSpecifications" if is_shared else "publishingSpecifications": row.specifications,
        "workflowStatus": {"currentStep": row.current_step, "state": row.state, "messages": row.messages},
        "links": [link_document(url, "self"), link_document(url, "update_shippinglabel", "PATCH")],
    }
    if row.error_report is not None:
        name = f"ErrorReport_{row.id}.txt"
        document["workflowStatus"]["errorReport"] = service.sas.url(row.error_report, name, permissions=READ)
    if targets is not None:
        document["targeting"] = {"hardwareIds": targets[0], "chids": targets[1], **row.targeting}
    return document
