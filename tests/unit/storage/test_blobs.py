import base64
import hashlib
import os
import random
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwdash.storage.blobs import BlobError, BlobReader, BlobStore, Conditions, Segment

KEY = "0123456789abcdef" * 2
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def block_id(number: int) -> str:
    return base64.b64encode(f"{number:06}".encode()).decode()


@pytest.fixture
def store(tmp_path):
    return BlobStore(tmp_path / "blobs", clock=lambda: NOON)


def put(store, content: bytes, key=KEY, **options):
    with store.write_blob(key, hashes=("md5",)) as writer:
        writer.write(content)
        return writer.finish(name="Initial_7.cab", **options)


def stage(store, number: int, content: bytes, key=KEY):
    with store.write_block(key, block_id(number)) as writer:
        writer.write(content)
        writer.finish()


def commit(store, numbers, kind="Latest", key=KEY, **options):
    return store.commit_blocks(key, [(kind, block_id(number)) for number in numbers], name="Initial_7.cab", **options)


def content(store, version=None, key=KEY) -> bytes:
    with store.open(key, version) as file:
        return file.read()


def files(store) -> set[str]:
    return {path.relative_to(store.root).as_posix() for path in store.root.rglob("*") if path.is_file()}


def code_of(call, *args, **options) -> str:
    with pytest.raises(BlobError) as caught:
        call(*args, **options)
    return caught.value.code


def test_what_was_put_is_read_back_with_its_properties(store):
    blob = put(store, b"package", content_type="application/vnd.ms-cab-compressed")

    assert store.stat(KEY) == blob
    assert (blob.size, blob.name, blob.last_modified) == (7, "Initial_7.cab", NOON)
    assert blob.content_type == "application/vnd.ms-cab-compressed"
    assert blob.content_md5 == hashlib.md5(b"package").digest()
    assert content(store) == b"package"
    assert b"".join(path.read_bytes() for path in blob.segment_paths) == b"package"


def test_a_blob_that_was_never_written_does_not_exist(store):
    assert store.stat(KEY) is None
    assert store.staged_blocks(KEY) == []
    assert code_of(store.open, KEY) == "BlobNotFound"
    store.delete(KEY)
    store.prune(KEY, ())
    assert files(store) == set()


@pytest.mark.parametrize("key", ["", "../../etc", "A" * 32, "a" * 31, "a" * 32 + "\n"])
def test_a_key_cannot_leave_the_folder(store, key):
    with pytest.raises(ValueError, match="32 hexadecimal"):
        store.stat(key)
    with pytest.raises(ValueError, match="32 hexadecimal"):
        store.write_blob(key)


def test_an_empty_blob_is_a_blob(store):
    with store.write_blob(KEY) as writer:
        writer.finish(name="empty")

    assert store.stat(KEY).size == 0
    assert content(store) == b""


def test_a_later_upload_leaves_the_earlier_version_readable(store):
    first = put(store, b"first")
    second = put(store, b"second")

    assert content(store) == b"second"
    assert content(store, first.version) == b"first"
    assert first.version < second.version
    assert first.etag != second.etag


def test_prune_keeps_the_current_version_and_those_in_use(store):
    versions = [put(store, f"content {number}".encode()).version for number in range(4)]

    store.prune(KEY, {versions[1]})

    assert [store.stat(KEY, version) is not None for version in versions] == [False, True, False, True]
    assert content(store, versions[1]) == b"content 1"
    assert len([name for name in files(store) if "/segments/" in name]) == 2


def test_prune_by_time_spares_what_was_replaced_lately(tmp_path):
    now = [NOON]
    store = BlobStore(tmp_path, clock=lambda: now[0])
    first = put(store, b"1")
    now[0] += timedelta(hours=1)
    second = put(store, b"2")
    now[0] += timedelta(hours=1)
    third = put(store, b"3")

    store.prune(KEY, (), superseded_before=NOON + timedelta(hours=1, minutes=30))

    assert [store.stat(KEY, blob.version) is not None for blob in (first, second, third)] == [False, True, True]


def test_prune_keeps_segments_that_a_newer_version_shares(store):
    stage(store, 1, b"kept ")
    stage(store, 2, b"old")
    old = commit(store, [1, 2])
    stage(store, 3, b"new")
    commit(store, [1, 3])

    store.prune(KEY, ())

    assert content(store) == b"kept new"
    assert store.stat(KEY, old.version) is None
    assert len([name for name in files(store) if "/segments/" in name]) == 2


def test_blocks_are_committed_in_the_order_of_the_list(store):
    for number in range(3):
        stage(store, number, f"<{number}>".encode())

    blob = commit(store, [2, 0, 1, 0])

    assert content(store) == b"<2><0><1><0>"
    assert [segment.block_id for segment in blob.segments] == [block_id(number) for number in (2, 0, 1, 0)]
    assert store.staged_blocks(KEY) == []


def test_blocks_left_out_of_the_list_are_forgotten(store):
    stage(store, 1, b"in")
    stage(store, 2, b"out")
    commit(store, [1])

    assert store.staged_blocks(KEY) == []
    assert code_of(commit, store, [1, 2]) == "InvalidBlockList"


def test_a_block_sent_again_replaces_the_earlier_one(store):
    stage(store, 1, b"broken")
    stage(store, 1, b"whole")

    assert [(block.block_id, block.size) for block in store.staged_blocks(KEY)] == [(block_id(1), 5)]
    commit(store, [1])
    assert content(store) == b"whole"


def test_the_kinds_of_a_list_choose_between_staged_and_committed(store):
    stage(store, 1, b"old")
    commit(store, [1])
    stage(store, 1, b"new")
    mixed = [("Committed", block_id(1)), ("Uncommitted", block_id(1)), ("Latest", block_id(1))]

    store.commit_blocks(KEY, mixed, name="x")

    assert content(store) == b"oldnewnew"
    assert code_of(commit, store, [1], kind="Uncommitted") == "InvalidBlockList"
    assert code_of(commit, store, [9], kind="Committed") == "InvalidBlockList"


def test_a_failed_commit_changes_nothing(store):
    before = put(store, b"before")
    stage(store, 1, b"staged")

    assert code_of(commit, store, [1, 2]) == "InvalidBlockList"
    assert code_of(commit, store, [1], conditions=Conditions(if_none_match=("*",))) == "BlobAlreadyExists"
    assert store.stat(KEY) == before
    assert len(store.staged_blocks(KEY)) == 1
    assert commit(store, [1]).size == 6


def test_put_blob_forgets_staged_blocks(store):
    stage(store, 1, b"staged")
    put(store, b"whole")

    assert store.staged_blocks(KEY) == []


@pytest.mark.parametrize("wrong", ["", "not base64!", "QQ", base64.b64encode(b"x" * 65).decode(), "é"])
def test_a_block_id_is_base64_of_up_to_64_bytes(store, wrong):
    assert code_of(store.write_block, KEY, wrong) == "InvalidBlockId"


def test_block_ids_of_another_length_are_refused(store):
    stage(store, 1, b"x")

    assert code_of(store.write_block, KEY, base64.b64encode(b"id").decode()) == "InvalidBlobOrBlock"
    commit(store, [1])
    with store.write_block(KEY, base64.b64encode(b"id").decode()) as writer:
        writer.finish()


def test_more_than_50000_listed_blocks_are_refused(store):
    assert code_of(store.commit_blocks, KEY, [("Latest", block_id(1))] * 50_001, name="x") == "BlockCountExceedsLimit"


def test_a_wrong_md5_publishes_nothing(store):
    wrong = hashlib.md5(b"other").digest()

    assert code_of(put, store, b"content", expected_md5=wrong) == "Md5Mismatch"
    with store.write_block(KEY, block_id(1), hashes=("md5",)) as writer:
        writer.write(b"content")
        assert code_of(writer.finish, expected_md5=wrong) == "Md5Mismatch"
    assert files(store) == set()


def test_conditions_decide_on_the_version_at_publishing_time(store):
    first = put(store, b"1")
    overtaken = store.write_blob(KEY)
    put(store, b"2")

    assert code_of(overtaken.finish, name="x", conditions=Conditions(if_match=(first.etag,))) == "ConditionNotMet"
    overtaken.abort()
    assert content(store) == b"2"


@pytest.mark.parametrize(
    ("conditions", "code"),
    [
        (Conditions(if_none_match=("*",)), "BlobAlreadyExists"),
        (Conditions(if_match=('"other"',)), "ConditionNotMet"),
        (Conditions(if_modified_since=NOON), "ConditionNotMet"),
        (Conditions(if_unmodified_since=NOON - timedelta(seconds=1)), "ConditionNotMet"),
    ],
)
def test_a_condition_that_does_not_hold_refuses_the_write(store, conditions, code):
    put(store, b"1")

    assert code_of(put, store, b"2", conditions=conditions) == code
    assert content(store) == b"1"


def test_of_many_first_uploads_at_once_exactly_one_wins(store):
    def upload(number):
        try:
            return put(store, str(number).encode(), conditions=Conditions(if_none_match=("*",)))
        except BlobError as error:
            return error.code

    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(upload, range(8)))

    assert outcomes.count("BlobAlreadyExists") == 7
    assert store.stat(KEY) in outcomes


def test_many_blocks_staged_at_once_are_all_there(store):
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: stage(store, number, f"{number:04}".encode()), range(64)))

    commit(store, range(64))
    assert content(store) == b"".join(f"{number:04}".encode() for number in range(64))


def test_sizes_past_the_limit_are_refused_before_they_are_written(tmp_path):
    store = BlobStore(tmp_path, max_blob_size=10)

    assert code_of(store.write_blob, KEY, length=11) == "RequestBodyTooLarge"
    with store.write_blob(KEY) as writer:
        writer.write(b"0123456789")
        assert code_of(writer.write, b"x") == "RequestBodyTooLarge"
    stage(store, 1, b"012345")
    assert code_of(stage, store, 2, b"01234") == "RequestBodyTooLarge"
    stage(store, 1, b"0123")  # in place of the six bytes
    stage(store, 2, b"012345")
    assert code_of(commit, store, [1, 2, 1]) == "RequestBodyTooLarge"
    assert commit(store, [1, 2]).size == 10


def test_a_nearly_full_disk_is_not_filled_up(tmp_path):
    store = BlobStore(tmp_path, reserve=1 << 62)

    assert code_of(store.write_blob, KEY) == "InsufficientStorage"
    assert files(store) == set()


def test_the_limit_holds_for_blocks_that_another_process_staged(tmp_path):
    here, there = (BlobStore(tmp_path, max_blob_size=10) for _ in range(2))
    stage(here, 1, b"01234567")
    stage(there, 2, b"0")
    assert code_of(stage, there, 3, b"012") == "RequestBodyTooLarge"
    commit(here, [1])

    stage(there, 3, b"0123456789")
    assert [block.size for block in here.staged_blocks(KEY)] == [10]


def test_put_file_twice_gives_the_same_version(store, tmp_path):
    source = tmp_path / "Signed_7.zip"
    source.write_bytes(os.urandom(3_000_000))

    first = store.put_file(KEY, source, name="Signed_7.zip", content_type="application/zip")
    again = store.put_file(KEY, [source.read_bytes()], name="Signed_7.zip", content_type="application/zip")
    other = store.put_file(KEY, [b"other"], name="Signed_7.zip", content_type="application/zip")

    assert first == again
    assert first.sha256 == hashlib.sha256(source.read_bytes()).digest()
    assert other.version > first.version
    assert store.stat(KEY) == other


def test_delete_removes_versions_and_staged_blocks(store):
    put(store, b"content")
    stage(store, 1, b"staged")
    other = put(store, b"other", key="f" * 32)

    store.delete(KEY)

    assert store.stat(KEY) is None
    assert store.staged_blocks(KEY) == []
    assert store.stat("f" * 32) == other
    assert content(store, put(store, b"again").version) == b"again"


def test_an_aborted_writer_leaves_nothing(store):
    with store.write_blob(KEY) as writer:
        writer.write(b"x" * 1000)
    writer = store.write_block(KEY, block_id(1))
    writer.write(b"x" * 1000)
    writer.abort()
    writer.abort()

    assert files(store) == set()


def test_garbage_is_what_no_writer_holds_and_no_version_names(tmp_path):
    now = [NOON]
    store = BlobStore(tmp_path, clock=lambda: now[0])
    blob = put(store, b"kept")
    stage(store, 1, b"old")
    now[0] += timedelta(days=6)
    stage(store, 2, b"young")
    folder = blob.segments[0].path.parent
    (folder / "linked-before-a-crash").write_bytes(b"?")
    (store.root / "incoming" / "left-by-a-crash").write_bytes(b"?")
    with store.write_blob(KEY) as writer:
        writer.write(b"in flight")

        store.collect_garbage(NOON + timedelta(days=7, seconds=1))

        assert [block.block_id for block in store.staged_blocks(KEY)] == [block_id(2)]
        assert set(folder.iterdir()) == {blob.segments[0].path}
        assert content(store) == b"kept"
        assert len(list((store.root / "incoming").iterdir())) == 1
        writer.finish(name="x")
    assert content(store) == b"in flight"


def test_a_damaged_manifest_is_reported(store):
    blob = put(store, b"content")
    manifest = blob.segments[0].path.parent.parent / "versions" / f"{blob.version}.json"
    manifest.write_text("{}")

    assert code_of(store.stat, KEY) == "InternalError"


def test_a_segment_shorter_than_its_manifest_is_reported(store):
    blob = put(store, b"content")
    os.truncate(blob.segments[0].path, 3)

    assert code_of(content, store) == "InternalError"


_CRASHING_WRITER = """
import os, signal, sys
from pathlib import Path
from hwdash.storage.blobs import BlobStore

root, step, what = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
calls = 0

def dying(original):
    def call(*args, **options):
        global calls
        calls += 1
        if calls > step:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*args, **options)
    return call

store = BlobStore(root)
for name in ("rename", "link", "fsync", "fdatasync", "unlink"):
    setattr(os, name, dying(getattr(os, name)))
if what == "put":
    with store.write_blob("0123456789abcdef" * 2) as writer:
        writer.write(b"new")
        writer.finish(name="x")
else:
    store.commit_blocks("0123456789abcdef" * 2, [("Latest", i) for i in ("MDAwMDAx", "MDAwMDAy")], name="x")
print("acknowledged")
"""


@pytest.mark.parametrize("what", ["put", "commit"])
def test_a_writer_killed_between_any_two_steps_leaves_the_old_version_or_the_new_one(tmp_path, what):
    outcomes = []
    for step in range(100):
        store = BlobStore(tmp_path / str(step))
        put(store, b"old")
        stage(store, 1, b"n")
        stage(store, 2, b"ew")
        command = [sys.executable, "-c", _CRASHING_WRITER, store.root, str(step), what]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        assert run.returncode in {0, -signal.SIGKILL}, run.stderr

        after = content(BlobStore(store.root))
        outcomes.append(after)
        if after == b"old" and what == "commit":
            assert len(store.staged_blocks(KEY)) == 2, "the client can send its list again"
        store.collect_garbage(datetime.now(UTC))
        assert content(store) == after
        assert list(store.disk.incoming.iterdir()) == []
        if run.returncode == 0:
            break
    assert outcomes == sorted(outcomes, reverse=True), "once the new version is there, it stays"
    assert outcomes[0] == b"old"
    assert (outcomes[-1], run.stdout) == (b"new", "acknowledged\n")


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 40), max_size=6), steps=st.lists(st.tuples(st.integers(0, 200), st.integers(-1, 90)))
)
def test_reading_segments_is_reading_their_concatenation(tmp_path_factory, sizes, steps):
    folder = tmp_path_factory.mktemp("segments")
    whole = random.Random(str(sizes)).randbytes(sum(sizes))
    segments, offset = [], 0
    for number, size in enumerate(sizes):
        path = Path(folder, str(number))
        path.write_bytes(whole[offset : offset + size])
        segments.append(Segment(path, size))
        offset += size
    buffer = memoryview(bytearray(90))

    with BlobReader(segments) as reader:
        assert reader.seek(0, os.SEEK_END) == len(whole)
        for position, count in steps:
            reader.seek(position)
            got = reader.read(count) or b""
            assert whole[position:].startswith(got)
            assert got or count == 0 or position >= len(whole)
            assert reader.tell() == position + len(got)
            if count >= 0:
                read = reader.preadv(buffer[:count], position)
                assert bytes(buffer[:read]) == whole[position : position + read]
        reader.seek(0)
        assert reader.readall() == whole
        with pytest.raises(ValueError, match="before the start"):
            reader.seek(-1)
