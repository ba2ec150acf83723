"""How labels are read and written (contract/api.md 1.4, 3.7 to 3.12 and section 11)."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hwdash.vocabulary import OPERATING_SYSTEMS
from hwdash.wire.label import (
    OLDER_NAMES,
    LabelCreate,
    LabelUpdate,
    PublishingSpecifications,
    RecipientSpecifications,
    ShippingLabel,
    TargetedChid,
    TargetedHardwareId,
    Targeting,
    guid,
)
from hwdash.wire.update import read_sound

CHID = "3de6a4bc-11f1-4f0d-9e39-a1b2c3d4e5f6"
RS3 = "WINDOWS_v100_X64_RS3_FULL"
ENTRY = {"bundleId": "b", "infId": "Sample.inf", "operatingSystemCode": RS3, "pnpString": r"PCI\VEN_1AF4"}
READ = TargetedHardwareId("b", "Sample.inf", RS3, r"pci\ven_1af4")


def read_row(entry: Any) -> TargetedHardwareId:
    (row,) = Targeting.model_validate({"hardwareIds": [entry]}).hardware_ids
    return row


class TestHardwareIds:
    @pytest.mark.parametrize(
        "entry",
        [
            ENTRY,
            {name.upper(): value for name, value in ENTRY.items()},
            {name[0].upper() + name[1:]: value for name, value in ENTRY.items()},
            {name: value.upper() if name != "infId" and name != "bundleId" else value for name, value in ENTRY.items()},
            {name: f" {value} " for name, value in ENTRY.items()},
            ENTRY | {"distributionState": "Added", "unknown": 1},
            ENTRY | {"action": None},
        ],
    )
    def test_one_is_read_in_whatever_form(self, entry: dict[str, Any]) -> None:
        assert read_row(entry) == READ

    @pytest.mark.parametrize(
        ("member", "action"),
        [
            ({"action": "add"}, "add"),
            ({"action": " Remove "}, "remove"),
            ({"Action": "ADD"}, "add"),
            ({"ACTION": "add", "distributionState": "added"}, "add"),
            ({"action": "drop"}, "drop"),
            ({"action": 1}, ""),
        ],
    )
    def test_the_action_is_read_in_whatever_form(self, member: dict[str, Any], action: str) -> None:
        assert read_row(ENTRY | member) == READ._replace(action=action)
        assert read_row({name.upper(): value for name, value in (ENTRY | member).items()}).action == action

    @pytest.mark.parametrize("wrong", [None, 5, [], {}, True, "", " "])
    def test_what_is_no_text_is_missing(self, wrong: Any) -> None:
        for place, name in enumerate(ENTRY):
            assert read_row(ENTRY | {name: wrong})[place] == ""
            assert read_row({each: value for each, value in ENTRY.items() if each != name})[place] == ""

    @pytest.mark.parametrize("code", [system.code for system in OPERATING_SYSTEMS])
    def test_os_codes_get_their_one_spelling(self, code: str) -> None:
        for spelling in (code, code.lower(), code.upper()):
            assert read_row(ENTRY | {"operatingSystemCode": spelling}).operating_system_code == code

    @pytest.mark.parametrize("wrong", [5, {}, "x", [5], [None], [[]], ["x"]])
    def test_what_is_no_list_of_objects_is_refused(self, wrong: Any) -> None:
        for name in ("hardwareIds", "chids"):
            with pytest.raises(ValidationError) as caught:
                Targeting.model_validate({name: wrong})
            assert [each["loc"] for each in caught.value.errors()] == [(name,)]

    @given(
        st.lists(
            st.builds(
                TargetedHardwareId,
                *[st.text(st.characters(codec="ascii", categories=["Ll", "Nd"]), min_size=1)] * 2,
                st.sampled_from([system.code for system in OPERATING_SYSTEMS]),
                st.text(st.characters(codec="ascii", categories=["Ll", "Nd"]), min_size=1),
                st.sampled_from(["", "add", "remove"]),
            )
        )
    )
    def test_what_is_written_reads_the_same(self, rows: list[TargetedHardwareId]) -> None:
        written = Targeting(hardware_ids=tuple(rows), chids=(TargetedChid(CHID, "add"),))
        assert Targeting.from_wire(written.to_wire()) == written


@pytest.mark.parametrize("text", [CHID, CHID.upper(), f"{{{CHID}}}", f" {{{CHID.upper()}}} "])
def test_a_guid_is_read_with_and_without_braces(text: str) -> None:
    assert guid(text) == CHID
    assert Targeting.model_validate({"chids": [{"CHID": text}]}).chids == (TargetedChid(CHID),)


@pytest.mark.parametrize("text", ["", "x", CHID[:-1], f"{{{CHID}", CHID.replace("-", ""), "{}"])
def test_what_is_no_guid_stays_as_it_is(text: str) -> None:
    assert guid(text) == text
    assert guid(None) == guid(5) == ""


class TestTargeting:
    @pytest.mark.parametrize("name", ["restrictedToAudiences", "restrictedToAudience", "audience", "AUDIENCE"])
    @pytest.mark.parametrize(
        ("given", "read"),
        [([CHID], [CHID]), (CHID.upper(), [CHID]), ([f"{{{CHID}}}", "", None], [CHID]), ("", []), ([""], []), ([], [])],
    )
    def test_audiences_have_several_names_and_forms(self, name: str, given: Any, read: list[str]) -> None:
        found = Targeting.model_validate({name: given})
        assert found.restricted_to_audiences == read
        assert "restricted_to_audiences" in found.model_fields_set

    @pytest.mark.parametrize("wrapper", ["targeting", "targetingInfo", "Targeting", "TARGETINGINFO"])
    def test_the_wrapper_has_two_names(self, wrapper: str) -> None:
        for model in (LabelCreate, LabelUpdate):
            found = model.model_validate({wrapper: {"hardwareids": [ENTRY]}})
            assert found.targeting.hardware_ids == (READ,)

    def test_null_leaves_lists_alone_and_removes_the_publish_infos(self) -> None:
        """Section 11, 29."""
        lists = {"hardwareIds": None, "chids": None, "restrictedToAudiences": None, "businessJustification": None}
        assert Targeting.model_validate(lists).model_fields_set == set()
        for blank in (None, "", {}, {"flooring": "", "ceiling": ""}, {"Flooring": None}):
            found = Targeting.model_validate({"inServicePublishInfo": blank})
            assert found.model_fields_set == {"in_service_publish_info"}
            assert found.in_service_publish_info.to_wire() == {}
        assert Targeting.model_validate({"CoEngDriverPublishInfo": None}).model_fields_set == {
            "co_eng_driver_publish_info"
        }

    @pytest.mark.parametrize(("given", "read"), [("rs3", "RS3"), (" 19h1 ", "19H1"), ("", None), ("RS9", "RS9")])
    def test_releases_get_their_one_spelling(self, given: str, read: str | None) -> None:
        found = Targeting.model_validate({"inServicePublishInfo": {"Ceiling": given}})
        assert found.in_service_publish_info.ceiling == read

    @pytest.mark.parametrize(("given", "read"), [(27000, 27000), ("27000", 27000), ("", None), (None, None)])
    def test_builds_are_numbers_or_texts(self, given: Any, read: int | None) -> None:
        found = Targeting.model_validate({"coEngDriverPublishInfo": {"flooringBuildNumber": given}})
        assert found.co_eng_driver_publish_info.flooring_build_number == read

    @pytest.mark.parametrize("wrong", ["x", "-1", -1, 1.5, [], "9" * 30])
    def test_other_builds_are_refused(self, wrong: Any) -> None:
        with pytest.raises(ValidationError) as caught:
            Targeting.model_validate({"coEngDriverPublishInfo": {"flooringBuildNumber": wrong}})
        assert caught.value.errors()[0]["loc"] == ("coEngDriverPublishInfo", "flooringBuildNumber")


class TestSpecifications:
    def test_accounts_are_numbers_or_texts_and_one_may_stand_alone(self) -> None:
        for sent in ([1, "2"], ["1", 2, None, ""]):
            assert PublishingSpecifications.model_validate({"visibleToAccounts": sent}).visible_to_accounts == [1, 2]
        assert PublishingSpecifications.model_validate({"VisibleToAccounts": "1"}).visible_to_accounts == [1]
        for wrong in (["x"], [True], [-1], [1.5], ["1" * 40]):
            with pytest.raises(ValidationError):
                PublishingSpecifications.model_validate({"visibleToAccounts": wrong})

    def test_oems_are_a_list_or_one_text(self) -> None:
        for sent, read in (("Contoso", ["Contoso"]), (["A", "B"], ["A", "B"]), ("", []), (None, [])):
            found = PublishingSpecifications.model_validate({"additionalInfoForMsApproval": {"affectedOems": sent}})
            assert found.additional_info_for_ms_approval is not None
            assert found.additional_info_for_ms_approval.affected_oems == read

    @pytest.mark.parametrize("blank", ["", None, "0001-01-01T00:00:00", "0001-01-01T00:00:00Z"])
    def test_a_go_live_date_may_be_blank(self, blank: Any) -> None:
        assert PublishingSpecifications.model_validate({"goLiveDate": blank}).go_live_date is None

    def test_a_go_live_date_is_in_utc(self) -> None:
        noon = datetime(2026, 11, 28, 12, tzinfo=UTC)
        for sent in ("2026-11-28T12:00:00", "2026-11-28T13:00:00.0000000+01:00"):
            found = PublishingSpecifications.model_validate({"goLiveDate": sent})
            assert found.go_live_date == noon
            assert found.to_wire()["goLiveDate"] == "2026-11-28T12:00:00Z"

    def test_the_names_with_capitals_inside_are_exact(self) -> None:
        written = PublishingSpecifications(
            is_auto_install_during_os_upgrade=True, publish_to_windows_10s=True
        ).to_wire()
        assert written["isAutoInstallDuringOSUpgrade"] is written["publishToWindows10s"] is True
        assert "isAutoInstallOnApplicableSystems" in written

    @pytest.mark.parametrize("given", [12345678, "12345678", " 12345678 "])
    def test_a_receiver_is_a_text_in_an_object_or_an_array_of_one(self, given: Any) -> None:
        for form in ({"receiverPublisherId": given}, [{"ReceiverPublisherId": given}]):
            found = LabelCreate.model_validate({"recipientSpecifications": form}).recipient_specifications
            assert found == RecipientSpecifications(receiver_publisher_id="12345678")
        with pytest.raises(ValidationError):
            LabelCreate.model_validate({"recipientSpecifications": [{}, {}]})


class TestSoundPart:
    def test_the_rest_of_a_broken_label_is_read(self) -> None:
        body = {
            "Name": 5,
            "destination": "ANOTHERPARTNER",
            "publishingSpecifications": {"goLiveDate": "x", "visibleToAccounts": ["x", 5], "publishToWindows10S": True},
            "recipientSpecifications": [{"receiverPublisherId": 7, "enforceChidTargeting": "x"}],
            "TargetingInfo": {"audience": [5, "a"], "hardwareIds": [ENTRY], "chids": 5, "inServicePublishInfo": 7},
        }
        found, problem = read_sound(LabelCreate, body, OLDER_NAMES)
        assert problem is not None
        assert {".".join(map(str, each["loc"])) for each in problem.errors()} == {
            "name",
            "publishingSpecifications.goLiveDate",
            "publishingSpecifications.visibleToAccounts.0",
            "recipientSpecifications.enforceChidTargeting",
            "targeting.chids",
            "targeting.inServicePublishInfo",
        }
        assert (found.name, found.destination) == (None, "anotherPartner")
        assert found.publishing_specifications == PublishingSpecifications(publish_to_windows_10s=True)
        assert found.recipient_specifications == RecipientSpecifications(receiver_publisher_id="7")
        assert found.targeting.hardware_ids == (READ,)
        assert found.targeting.restricted_to_audiences == ["", "a"]

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        [
                            "name",
                            "Targeting",
                            "targetingInfo",
                            "audience",
                            "hardwareIds",
                            "chids",
                            "flooring",
                            "inServicePublishInfo",
                            "publishingSpecifications",
                            "recipientSpecifications",
                            "visibleToAccounts",
                            "goLiveDate",
                            "additionalInfoForMsApproval",
                            "affectedOems",
                        ]
                    ),
                    inner,
                    max_size=5,
                )
            ),
            max_leaves=30,
        )
    )
    def test_whatever_is_sent_is_read_as_far_as_it_goes(self, value: Any) -> None:
        body = value if isinstance(value, dict) else {"targeting": value}
        for model in (LabelCreate, LabelUpdate):
            found, problem = read_sound(model, body, OLDER_NAMES)
            assert isinstance(found, model)
            assert problem is None or problem.errors()


def test_a_label_of_the_service_is_read() -> None:
    document = {
        "id": 1,
        "productId": 2,
        "submissionId": 3,
        "name": "L",
        "destination": "windowsUpdate",
        "publishingSpecifications": {"manualAcquisition": True},
        "targeting": {
            "hardwareIds": [ENTRY | {"distributionState": "added"}],
            "chids": [],
            "restrictedToAudiences": [],
        },
        "workflowStatus": {"currentStep": 7, "state": "started", "messages": []},
        "links": [],
    }
    found = ShippingLabel.from_wire(document)
    assert found.workflow_status.current_step == "7"
    assert found.targeting is not None
    assert found.targeting.hardware_ids[0].distribution_state == "added"
