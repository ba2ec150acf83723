"""The rules of shipping labels that are checked while the client waits (contract/api.md 7.4 and 7.5).

A refusal about who asks or about the state of things comes alone, in the order of that table. Whatever is wrong with
the label itself is told at once: each of ``RULES`` looks at the whole label and gives its findings. Two rules need more
than the request, and are the workflow's: whose the ids are (15), and those of extension INFs (22).
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from hwdash.domain.errors import Code, DomainError
from hwdash.domain.policy import Policy
from hwdash.domain.product import AUTHOR, READ_ONLY
from hwdash.domain.targets import REQUIRED, DriverRow, Finding, Findings, quoted
from hwdash.vocabulary import (
    OPERATING_SYSTEMS,
    RELEASES,
    LabelDestination,
    Role,
    TestHarness,
    WorkflowState,
    operating_system,
    release,
)

READ_ONLY_PRODUCT = "Not allowed to create the shipping labels on a read only product."
RECALLED = (
    "The operator recalled the driver: nothing of it can be distributed any more. Submit a corrected one, and make "
    "labels of that."
)
NEWEST_BUILD = max(system.build for system in OPERATING_SYSTEMS if system.build and system.documented)


@dataclass(frozen=True, slots=True)
class Driver:
    """The submission that a label is of, with its product."""

    origin_type: str
    test_harness: str
    state: str | None
    """Of its workflow."""
    is_prepared: bool
    """It is known what its packages hold."""
    is_system: bool
    """It is of a whole machine."""
    is_extension: bool
    is_test_sign: bool
    enforces_chids: bool
    is_deprecated: bool
    is_recalled: bool = False


@dataclass(frozen=True, slots=True)
class Owner:
    """The account that asks, and what it may name."""

    account_id: int
    policy: Policy
    roles: Collection[str]
    audiences: Mapping[str, bool]
    """The ids of its audiences, and whether they are of test machines only."""
    sellers: Collection[int]
    """Which of the accounts that the request names there are."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What of ``publishingSpecifications`` the rules look at."""

    is_automatic: bool
    manual_acquisition: bool | None = None
    contact: str | None = None
    validations: str | None = None
    oems: Sequence[str] = ()
    visible_to: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Reach:
    """To which machines a driver is offered, beside those of its hardware ids and CHIDs."""

    audiences: Sequence[str] = ()
    floor: str | None = None
    ceiling: str | None = None
    floor_build: int | None = None
    ceiling_build: int | None = None

    @property
    def has_releases(self) -> bool:
        """It names releases."""
        return self.floor is not None or self.ceiling is not None

    @property
    def has_builds(self) -> bool:
        """It names build numbers."""
        return self.floor_build is not None or self.ceiling_build is not None


@dataclass(frozen=True, slots=True)
class Label:
    """A label as it is asked for, or as a change leaves it."""

    name: str | None
    destination: str | None
    delivery: Delivery | None
    receiver: str | None
    """The seller id it shares with, as it was given."""
    rows: Collection[DriverRow]
    chids: Collection[str]
    reach: Reach

    @property
    def os_codes(self) -> set[str]:
        """The systems that its hardware ids are for."""
        return {row.os_code for row in self.rows}

    @property
    def goes_to_machines(self) -> bool:
        """Its destination is Windows Update."""
        return self.destination == LabelDestination.WINDOWS_UPDATE

    @property
    def is_automatic(self) -> bool:
        """Windows Update installs the driver without being asked."""
        return self.goes_to_machines and self.delivery is not None and self.delivery.is_automatic


# Refusals that come alone


def check_create(driver: Driver, owner: Owner, label: Label, findings: Sequence[Finding] = ()) -> None:
    """May the label be made? ``findings`` are what else is wrong with the request: all are told at once."""
    _check_driver(driver, label)
    check_capabilities(owner, label.reach, is_promotion=label.is_automatic)
    told = {_path(target) for target, _ in findings}
    found = [*findings]
    for rule in RULES:
        # What could not be read is not missing.
        found += [
            (target, message)
            for target, message in rule(driver, owner, label)
            if not (message.startswith(REQUIRED) and _path(target) in told)
        ]
    if found:
        raise DomainError(Code.INVALID_INPUT, "The label cannot be made so; validationErrors lists why.", found)


def _path(target: str) -> str:
    """What a finding is about, down to the property of ``targeting`` or the specifications."""
    return ".".join(target.partition("[")[0].split(".")[:2])


def _check_driver(driver: Driver, label: Label) -> None:
    if driver.origin_type == READ_ONLY:
        raise DomainError(Code.READ_ONLY_PRODUCT, READ_ONLY_PRODUCT)
    if driver.is_recalled:
        raise not_now(RECALLED)
    if driver.is_deprecated:
        raise not_now(
            "The driver was shared anew, or not any more: this submission gets no new labels. Make them for the "
            "submission that came instead."
        )
    if driver.state == WorkflowState.FAILED:
        raise not_now("The workflow of the submission has failed: there is nothing to distribute.")
    if not driver.is_prepared:
        raise not_now("The submission is not prepared yet. Try again when its workflow is past the step preparation.")
    if driver.is_system and label.goes_to_machines:
        raise not_now("A submission of a whole system can be shared with another partner only: use anotherPartner.")
    if driver.origin_type != AUTHOR and label.destination == LabelDestination.ANOTHER_PARTNER:
        raise not_now("The driver was received by sharing: only the account that made it can share it.")


def check_capabilities(owner: Owner, reach: Reach, *, is_promotion: bool = False) -> None:
    """Rule 21: may the account set such a ceiling; and whether the account may have drivers installed unasked."""
    policy = owner.policy
    if is_promotion and not policy.automatic_delivery:
        raise _forbidden("This account may not deliver drivers automatically", "--automatic-delivery on")
    if is_promotion and policy.promoter_role and Role.SHIPPING_LABEL_PROMOTER not in owner.roles:
        raise DomainError(
            Code.FORBIDDEN,
            "A label that is delivered automatically needs the role Shipping Label Promoter too. An administrator "
            "adds it: hwdash admin app roles.",
        )
    if reach.ceiling is not None and not policy.ceilings:
        raise _forbidden("This account may not set a ceiling", "--ceilings on")
    if reach.has_builds and not policy.co_engineering:
        raise _forbidden(
            "Build numbers are for co-engineering partners, which this account is not", "--co-engineering on"
        )


def _forbidden(what: str, option: str) -> DomainError:
    remedy = f"An administrator of the service changes that: hwdash admin account policy {option}."
    return DomainError(Code.FORBIDDEN, f"{what}. {remedy}")


def not_now(message: str) -> DomainError:
    """requestInvalidForCurrentState."""
    return DomainError(Code.REQUEST_INVALID_FOR_CURRENT_STATE, message)


# The rules, by their numbers in contract/api.md 7.4


def _rule_5_name_and_destination(_driver: Driver, _owner: Owner, label: Label) -> Findings:
    if not label.name or not label.name.strip():
        yield "name", f"{REQUIRED}."
    if label.destination not in (LabelDestination.WINDOWS_UPDATE, LabelDestination.ANOTHER_PARTNER):
        given = f", not `{quoted(label.destination)}`" if label.destination else ""
        yield "destination", f"{REQUIRED}, and must be windowsUpdate or anotherPartner{given}."


def _rule_6_publishing_specifications(_driver: Driver, _owner: Owner, label: Label) -> Findings:
    if label.goes_to_machines and label.delivery is None:
        yield "publishingSpecifications", f"{REQUIRED} when the destination is windowsUpdate."


def _rule_7_receiver(_driver: Driver, owner: Owner, label: Label) -> Findings:
    if label.destination != LabelDestination.ANOTHER_PARTNER:
        return
    target = "recipientSpecifications.receiverPublisherId"
    if not label.receiver:
        yield target, f"{REQUIRED} when the destination is anotherPartner."
    elif seller_id(label.receiver) == owner.account_id:
        yield target, "This is the account's own id; name the partner's."
    elif seller_id(label.receiver) not in owner.sellers:
        yield target, f"There is no account `{quoted(label.receiver)}`."


def _rule_9_what_approval_needs(_driver: Driver, _owner: Owner, label: Label) -> Findings:
    if not label.is_automatic or label.delivery is None:
        return
    needed = {
        "microsoftContact": label.delivery.contact,
        "validationsPerformed": label.delivery.validations,
        "affectedOems": label.delivery.oems,
    }
    for name, given in needed.items():
        if not given:
            place = f"publishingSpecifications.additionalInfoForMsApproval.{name}"
            yield place, f"{REQUIRED} when the driver is delivered automatically."


def _rule_10_manual_is_not_automatic(_driver: Driver, _owner: Owner, label: Label) -> Findings:
    delivery = label.delivery
    if not label.goes_to_machines or delivery is None or delivery.manual_acquisition is None:
        return
    if delivery.manual_acquisition == delivery.is_automatic:
        must = "false when isAutoInstallDuringOSUpgrade or isAutoInstallOnApplicableSystems is true"
        if not delivery.is_automatic:
            must = "true when neither isAutoInstallDuringOSUpgrade nor isAutoInstallOnApplicableSystems is"
        yield "publishingSpecifications.manualAcquisition", f"Must be {must}, or left out."


def _rule_11_extensions_are_automatic(driver: Driver, _owner: Owner, label: Label) -> Findings:
    if driver.is_extension and label.goes_to_machines and label.delivery is not None and not label.is_automatic:
        yield (
            "publishingSpecifications.isAutoInstallOnApplicableSystems",
            "The submission has an extension INF, which is delivered automatically only: set this or "
            "isAutoInstallDuringOSUpgrade.",
        )


def _rule_12_some_hardware_id(_driver: Driver, _owner: Owner, label: Label) -> Findings:
    if label.goes_to_machines and not label.rows:
        yield "targeting.hardwareIds", f"{REQUIRED}: at least one hardware id of the driver metadata."


def _rule_13_chids_need_windows_10(_driver: Driver, _owner: Owner, label: Label) -> Findings:
    if not label.chids:
        return
    older = [os_code for os_code in label.os_codes if not _supports_chids(os_code)]
    if older:
        yield (
            "targeting.chids",
            f"CHIDs need Windows 10 or later; there are hardware ids for {', '.join(sorted(older)[:5])}.",
        )


def _rule_14_enforced_chids(driver: Driver, _owner: Owner, label: Label) -> Findings:
    if driver.enforces_chids and label.goes_to_machines and not label.chids:
        yield "targeting.chids", f"{REQUIRED}: the driver was shared on the condition that labels have CHIDs."


def _rule_16_attestation_is_for_tests(driver: Driver, owner: Owner, label: Label) -> Findings:
    if driver.test_harness == TestHarness.ATTESTATION and label.goes_to_machines:
        yield from _only_tests(owner, label, "an attestation-signed driver")


def _rule_17_own_audiences(_driver: Driver, owner: Owner, label: Label) -> Findings:
    if unknown := [each for each in label.reach.audiences if each not in owner.audiences]:
        listed = ", ".join(f"`{quoted(each)}`" for each in unknown[:5])
        yield "targeting.restrictedToAudiences", f"GET audiences lists none with the id {listed}."


def _rule_18_releases_or_builds(_driver: Driver, _owner: Owner, label: Label) -> Findings:
    if label.reach.has_releases and label.reach.has_builds:
        yield "targeting.coEngDriverPublishInfo", "inServicePublishInfo and coEngDriverPublishInfo exclude each other."


def _rule_19_floor_and_ceiling(_driver: Driver, _owner: Owner, label: Label) -> Findings:
    reach, place = label.reach, "targeting.inServicePublishInfo"
    for name, token in (("flooring", reach.floor), ("ceiling", reach.ceiling)):
        if token is not None and release(token) is None:
            yield f"{place}.{name}", f"`{quoted(token)}` is not one of {', '.join(RELEASES)}."
    floor, ceiling = _rank(reach.floor), _rank(reach.ceiling)
    if floor is not None and ceiling is not None and ceiling < floor:
        yield f"{place}.ceiling", f"The ceiling {reach.ceiling} lies below the flooring {reach.floor}."
    place = "targeting.coEngDriverPublishInfo"
    for name, build in (("flooringBuildNumber", reach.floor_build), ("ceilingBuildNumber", reach.ceiling_build)):
        if build is not None and not NEWEST_BUILD < build <= 99_999:
            yield (
                f"{place}.{name}",
                f"Must have five digits and lie above {NEWEST_BUILD}, the newest build that is released.",
            )
    if reach.floor_build is not None and reach.ceiling_build is not None and reach.ceiling_build < reach.floor_build:
        yield f"{place}.ceilingBuildNumber", "The ceiling lies below the flooring."


def _rule_20_within_the_chosen_systems(_driver: Driver, _owner: Owner, label: Label) -> Findings:
    """Of what the sources say, and contradict each other in (section 11, 40): no less than the lowest chosen."""
    ranks = map(_system_rank, label.os_codes)
    lowest = min((each for each in ranks if each is not None), default=-1)
    if lowest < 0:
        return
    for name, token in (("flooring", label.reach.floor), ("ceiling", label.reach.ceiling)):
        rank = _rank(token)
        if rank is not None and rank < lowest:
            yield (
                f"targeting.inServicePublishInfo.{name}",
                f"{token} lies below {RELEASES[lowest]}, the lowest release among the hardware ids.",
            )


def _rule_23_test_signed_is_for_tests(driver: Driver, owner: Owner, label: Label) -> Findings:
    if driver.is_test_sign and label.goes_to_machines:
        yield from _only_tests(owner, label, "a test-signed driver")


def _rule_24_known_readers(_driver: Driver, owner: Owner, label: Label) -> Findings:
    delivery = label.delivery
    if delivery is None or not label.goes_to_machines:
        return
    if unknown := [str(each) for each in delivery.visible_to if each not in owner.sellers]:
        yield "publishingSpecifications.visibleToAccounts", f"There is no account {', '.join(unknown[:5])}."


Rule = Callable[[Driver, Owner, Label], Findings]

RULES: tuple[Rule, ...] = (
    _rule_5_name_and_destination,
    _rule_6_publishing_specifications,
    _rule_7_receiver,
    _rule_9_what_approval_needs,
    _rule_10_manual_is_not_automatic,
    _rule_11_extensions_are_automatic,
    _rule_12_some_hardware_id,
    _rule_13_chids_need_windows_10,
    _rule_14_enforced_chids,
    _rule_16_attestation_is_for_tests,
    _rule_17_own_audiences,
    _rule_18_releases_or_builds,
    _rule_19_floor_and_ceiling,
    _rule_20_within_the_chosen_systems,
    _rule_23_test_signed_is_for_tests,
    _rule_24_known_readers,
)
"""Of a new label."""

RULES_OF_CHANGES: tuple[Rule, ...] = (
    _rule_13_chids_need_windows_10,
    _rule_14_enforced_chids,
    _rule_16_attestation_is_for_tests,
    _rule_17_own_audiences,
    _rule_18_releases_or_builds,
    _rule_19_floor_and_ceiling,
    _rule_20_within_the_chosen_systems,
    _rule_23_test_signed_is_for_tests,
)
"""Of what a change leaves (contract/api.md 7.5)."""

RULES_OF_EXPIRY: tuple[Rule, ...] = (
    _rule_17_own_audiences,
    _rule_18_releases_or_builds,
    _rule_19_floor_and_ceiling,
)
"""Of a change that leaves nothing targeted."""


def _only_tests(owner: Owner, label: Label, what: str) -> Findings:
    audiences, target = label.reach.audiences, "targeting.restrictedToAudiences"
    if not audiences:
        yield target, f"{REQUIRED}: {what} goes to test machines only, those of Test_Registry_Key or CoDev."
    elif not all(owner.audiences.get(each) for each in audiences):
        yield target, f"{what[0].upper()}{what[1:]} goes to test machines only, those of Test_Registry_Key or CoDev."


def seller_id(text: str) -> int | None:
    """The number of an account's id."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None


def _supports_chids(os_code: str) -> bool:
    known = operating_system(os_code, accept_new=True)
    return known is not None and known.supports_chids


def _system_rank(os_code: str) -> int | None:
    """The place of a system among RELEASES; -1 before Windows 10, None where it is not known."""
    known = operating_system(os_code, accept_new=True)
    if known is None or not known.supports_chids:
        return -1
    return _rank(known.floor)


def _rank(token: str | None) -> int | None:
    known = None if token is None else release(token)
    return None if known is None else RELEASES.index(known)
