"""The bounded child process, for real: every test starts one."""

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from hwdash.drivers.errors import DriversError, LimitExceeded, ParseError, VerificationError
from hwdash.pipeline import child
from hwdash.pipeline.child import JSON, ChildFailed, ChildLimits, IsolationUnavailable, check_isolation, run_in_child

SMALL = ChildLimits(memory_mb=256, cpu_seconds=20, wall_seconds=60)


def children() -> set[str]:
    """The processes that this one has started, zombies among them; a service of other tests may be one."""
    return {pid for each in Path("/proc/self/task").iterdir() for pid in (each / "children").read_text().split()}


def probe(
    name: str,
    arguments: dict[str, JSON] | None = None,
    *,
    readable: tuple[Path, ...] = (),
    writable: tuple[Path, ...] = (),
    limits: ChildLimits = SMALL,
) -> JSON:
    task = f"hwdash.pipeline.child_probe:{name}"
    return run_in_child(task, arguments or {}, readable=readable, writable=writable, limits=limits, source="a.cab")


class TestAnswers:
    def test_json_goes_in_and_comes_out_unchanged(self):
        arguments: dict[str, JSON] = {"text": 'ä "\n\ud800 €', "number": 2**70, "real": 0.1, "list": [None, True, {}]}
        assert probe("echo", arguments) == arguments

    def test_a_request_larger_than_a_pipe_arrives_whole(self):
        assert probe("echo", {"text": "x" * 5_000_000}) == {"text": "x" * 5_000_000}

    def test_what_a_task_prints_does_not_disturb_the_answer(self):
        assert probe("print_and_warn", {"size": 1_000_000}) == "printed"

    @pytest.mark.parametrize(
        "expected",
        [
            ParseError("is torn", source="a.inf", offset=16, line=3, field="Version"),
            LimitExceeded("holds too many files", source="a.cab"),
            VerificationError("has another digest", source="a.sys"),
            DriversError("something in the package"),
        ],
        ids=lambda error: type(error).__name__,
    )
    def test_an_error_about_the_package_comes_back_as_it_was(self, expected: DriversError):
        with pytest.raises(DriversError) as caught:
            probe("raise_error", {"type": type(expected).__name__})
        assert type(caught.value) is type(expected)
        assert str(caught.value) == str(expected)
        assert vars(caught.value) == vars(expected)

    def test_a_defect_of_a_task_is_no_finding_and_shows_where_it_happened(self):
        with pytest.raises(ChildFailed, match=r"by a defect of ours[\s\S]*child_probe\.py") as caught:
            probe("raise_error", {"type": "ZeroDivisionError"})
        assert caught.value.kind == "ZeroDivisionError"

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "{",
            "[]",
            '{"value": NaN}',
            '{"found": {"type": "ParseError", "message": "m"}}',
            '{"value":' + "[" * 99_999,
        ],
    )
    def test_an_answer_of_another_form_is_a_failure_of_the_child(self, text: str):
        with pytest.raises(ChildFailed) as caught:
            probe("write_raw_answer", {"text": text})
        assert caught.value.kind == "answer"

    def test_an_answer_that_json_cannot_say_is_a_failure_of_the_child(self):
        with pytest.raises(ChildFailed) as caught:
            probe("answer_with_nan")
        assert caught.value.kind == "ValueError"

    @pytest.mark.parametrize("task", ["end_with_status", "leave"])
    def test_an_end_without_an_answer_is_a_failure_of_the_child(self, task: str):
        with pytest.raises(ChildFailed):
            probe(task, {"status": 0})


class TestTasks:
    @pytest.mark.parametrize(
        "task",
        [
            "os:system",
            "hwdash.pipeline:run",
            "hwdash.cli.main:main",
            "hwdash.pipeline.child_probe",
            "hwdash.pipeline.child_probe:_fork",
            "hwdash.pipeline.child_probe:os.getcwd",
            "hwdash.pipeline..os:system",
        ],
    )
    def test_only_public_functions_of_the_pipeline_are_tasks(self, task: str):
        with pytest.raises(ValueError, match="is no task"):
            run_in_child(task, {})

    @pytest.mark.parametrize("name", ["none_of_this_name", "threading", "signal"])
    def test_what_a_module_only_imports_is_no_task_of_it(self, name: str):
        with pytest.raises(ChildFailed, match="defines no such function"):
            probe(name)

    def test_a_path_that_is_not_there_is_named_before_a_child_starts(self, tmp_path: Path):
        with pytest.raises(FileNotFoundError, match="missing"):
            probe("echo", readable=(tmp_path / "missing",))


class TestSurroundings:
    def test_the_child_inherits_no_environment_no_descriptors_and_no_working_folder(self, monkeypatch, tmp_path: Path):
        monkeypatch.setenv("HWDASH_SECRET", "s")
        monkeypatch.chdir(tmp_path)
        inheritable = os.open(tmp_path, os.O_RDONLY)
        os.set_inheritable(inheritable, True)
        try:
            found = probe("situation")
        finally:
            os.close(inheritable)
        assert isinstance(found, dict)
        assert isinstance(found["environment"], dict)
        assert set(found["environment"]) <= {"LC_CTYPE", "LD_LIBRARY_PATH"}
        assert found["folder"] == "/"
        assert found["session"] == found["process"]
        assert found["descriptors"] == [0, 1, 2, 3]  # the request, two for messages, the answer

    def test_a_file_that_is_given_can_be_read_and_its_neighbour_cannot(self, tmp_path: Path):
        given, neighbour = tmp_path / "given", tmp_path / "neighbour"
        given.write_bytes(b"12345")
        neighbour.write_bytes(b"12345")
        assert probe("read_path", {"path": str(given)}, readable=(given,)) == 5
        with pytest.raises(ChildFailed) as caught:
            probe("read_path", {"path": str(neighbour)}, readable=(given,))
        assert caught.value.kind == "PermissionError"

    def test_what_is_readable_cannot_be_written(self, tmp_path: Path):
        with pytest.raises(ChildFailed) as caught:
            probe("write_path", {"path": str(tmp_path / "new"), "size": 1}, readable=(tmp_path,))
        assert caught.value.kind == "PermissionError"

    def test_a_writable_folder_takes_files_folders_renames_and_truncation(self, tmp_path: Path):
        assert probe("extract", {"path": str(tmp_path)}, writable=(tmp_path,)) == {"file": 3}
        assert (tmp_path / "file").read_bytes() == b"123"

    @pytest.mark.parametrize("path", ["/etc/passwd", "/proc/self/environ", "/proc/1/environ", "/dev/null"])
    def test_the_system_files_are_closed(self, path: str):
        with pytest.raises(ChildFailed) as caught:
            probe("read_path", {"path": path})
        assert caught.value.kind == "PermissionError"


class TestLimits:
    @pytest.mark.parametrize(("task", "size"), [("allocate", 512 << 20), ("allocate_bit_by_bit", 0)])
    def test_memory(self, task: str, size: int):
        with pytest.raises(LimitExceeded, match=r"a\.cab: needs more than 256 MB of memory"):
            probe(task, {"size": size})

    def test_processor_time(self):
        limits = ChildLimits(memory_mb=256, cpu_seconds=1, wall_seconds=60)
        with pytest.raises(LimitExceeded, match="more than 1 seconds of processor time"):
            probe("spin", limits=limits)

    def test_time(self):
        limits = ChildLimits(memory_mb=256, wall_seconds=0.5)
        started = time.monotonic()
        with pytest.raises(LimitExceeded, match=r"took longer than 0\.5 seconds"):
            probe("wait", limits=limits)
        assert time.monotonic() - started < 10

    def test_size_of_a_file(self, tmp_path: Path):
        limits = ChildLimits(memory_mb=256, file_bytes=1000)
        assert probe("write_path", {"path": str(tmp_path / "f"), "size": 1000}, writable=(tmp_path,), limits=limits)
        with pytest.raises(LimitExceeded, match="more than 1000 bytes"):
            probe("write_path", {"path": str(tmp_path / "f"), "size": 1001}, writable=(tmp_path,), limits=limits)

    def test_size_of_the_answer(self):
        limits = ChildLimits(memory_mb=256, max_answer_bytes=100_000)
        assert probe("answer_of_size", {"size": 99_000}, limits=limits) == "x" * 99_000
        with pytest.raises(LimitExceeded, match="more than 100000 bytes"):
            probe("answer_of_size", {"size": 100_001}, limits=limits)

    def test_number_of_values_in_the_answer(self):
        limits = ChildLimits(memory_mb=256, max_answer_values=1000)
        assert probe("answer_of_values", {"count": 990}, limits=limits) == [0] * 990
        with pytest.raises(LimitExceeded, match="more than 1000"):
            probe("answer_of_values", {"count": 1001}, limits=limits)

    @pytest.mark.parametrize("ended_by", [signal.SIGSEGV, signal.SIGKILL, signal.SIGABRT])
    def test_a_crash_names_its_signal(self, ended_by: signal.Signals):
        with pytest.raises(ChildFailed) as caught:
            probe("end_by_signal", {"signal": int(ended_by)})
        assert caught.value.kind == ended_by.name


class TestLife:
    def test_children_run_beside_each_other_from_several_threads(self):
        answers: list[JSON] = []
        threads = [threading.Thread(target=lambda n=n: answers.append(probe("echo", {"n": n}))) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(str(answer) for answer in answers) == [str({"n": n}) for n in range(4)]

    def test_no_descriptor_and_no_process_stays_behind(self):
        probe("echo")
        before = sorted(os.listdir("/proc/self/fd"))
        others = children()
        probe("echo")
        with pytest.raises(LimitExceeded):
            probe("wait", limits=ChildLimits(memory_mb=256, wall_seconds=0.3))
        assert sorted(os.listdir("/proc/self/fd")) == before
        assert children() <= others

    @pytest.mark.parametrize("task", ["wait", "spin"])
    def test_a_killed_parent_leaves_no_child(self, task: str):
        program = (
            "import subprocess, threading\n"
            "from hwdash.pipeline import child\n"
            "start = child._start\n"
            "def told():\n"
            "    process = start()\n"
            "    print(process.pid, flush=True)\n"
            "    return process\n"
            "child._start = told\n"
            f"threading.Thread(target=child.run_in_child, args=('hwdash.pipeline.child_probe:{task}', {{}})).start()\n"
        )
        with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
            assert parent.stdout is not None
            grandchild = os.pidfd_open(int(parent.stdout.readline()))
            try:
                assert select.select([grandchild], [], [], 0.2)[0] == []  # it lives as long as its parent
                parent.kill()
                assert select.select([grandchild], [], [], 20)[0] == [grandchild]
            finally:
                os.close(grandchild)

    def test_a_closed_standard_input_ends_the_child_too(self):
        policy = {
            "parent": os.getpid(),
            "limits": {
                "memory_bytes": 1 << 28,
                "cpu_seconds": 20,
                "file_bytes": 0,
                "open_files": 64,
                "processes": 4096,
            },
            "readable": [],
            "writable": [],
        }
        request = {"task": "hwdash.pipeline.child_probe:wait", "arguments": {}}
        with child._start() as process:
            out, _ = process.communicate(f"{json.dumps(policy)}\n{json.dumps(request)}\n".encode(), timeout=20)
        assert (process.returncode, out) == (1, b"")


class TestCheckIsolation:
    def test_it_passes_where_the_walls_stand(self):
        check_isolation()

    def test_it_leaves_no_files(self, tmp_path: Path, monkeypatch):
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        check_isolation()
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("wall", "found"),
        [
            ("restrict_calls", "open a network socket"),
            ("restrict_calls", "start a process"),
            ("restrict_calls", "become a program"),
            ("restrict_calls", "change the mode of a file outside"),
            ("restrict_files", "read a file outside"),
            ("restrict_files", "write a file outside"),
            ("limit_resources", "use more memory than its limit"),
        ],
    )
    def test_it_names_a_wall_that_does_not_stand(self, wall: str, found: str, monkeypatch, tmp_path: Path):
        without_a_wall = tmp_path / "child_without_a_wall.py"
        without_a_wall.write_text(
            "from hwdash.pipeline import child_main, confinement\n"
            f"confinement.{wall} = lambda **_: None\n"
            "child_main.main()\n"
        )
        real = subprocess.Popen
        monkeypatch.setattr(
            child.subprocess, "Popen", lambda _, **how: real([sys.executable, "-I", str(without_a_wall)], **how)
        )
        with pytest.raises(IsolationUnavailable, match=found):
            check_isolation()

    def test_a_system_without_landlock_is_named_with_what_to_do(self, monkeypatch, tmp_path: Path):
        without_landlock = tmp_path / "child_without_landlock.py"
        without_landlock.write_text(
            "from hwdash.pipeline import child_main, confinement\n"
            "confinement._LANDLOCK_CREATE_RULESET = 1023\n"  # a system call that no kernel has
            "child_main.main()\n"
        )
        real = subprocess.Popen
        monkeypatch.setattr(
            child.subprocess, "Popen", lambda _, **how: real([sys.executable, "-I", str(without_landlock)], **how)
        )
        with pytest.raises(IsolationUnavailable, match=r"No Landlock: this kernel has no Landlock.*5\.13"):
            check_isolation()
