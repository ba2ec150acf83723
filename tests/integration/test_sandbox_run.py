"""``hwdash sandbox run``: what the command finds, how it ends, and that the machine is as it was."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hwdash.sandbox.impersonation import java_trust_store
from service import HWDASH, clean_environment

WITHOUT_RIGHTS = ["setpriv", "--bounding-set=-sys_admin,-net_admin", "--inh-caps=-sys_admin,-net_admin"]
HOSTS = ["manage.devcenter.microsoft.com", "login.microsoftonline.com"]

LOOK = (
    f"HOSTS = {HOSTS}"
    + """
import json, os, socket, ssl, sys, urllib.request
from pathlib import Path

found = {"uid_map": Path("/proc/self/uid_map").read_text().split()}
found["interfaces"] = [line.split(":")[0].strip() for line in Path("/proc/net/dev").read_text().splitlines()[2:]]
found["environment"] = dict(os.environ)
found["cwd"] = os.getcwd()
document = "/v2.0/.well-known/openid-configuration"
for host in HOSTS:
    address = f"https://{host}/{os.environ['HWDASH_TENANT_ID']}{document}"
    found[host] = json.load(urllib.request.urlopen(address))["token_endpoint"]
    # By the system's own bundle, without any variable.
    system = ssl.create_default_context(cafile="/etc/ssl/certs/ca-certificates.crt")
    with socket.create_connection((host, 443)) as plain, system.wrap_socket(plain, server_hostname=host) as tls:
        found[f"names of {host}"] = [name for _, name in tls.getpeercert()["subjectAltName"]]
try:
    socket.create_connection(("192.0.2.1", 443), 5)
except OSError as error:
    found["elsewhere"] = error.strerror
Path(sys.argv[1]).write_text(json.dumps(found))
sys.exit(7)
"""
)


def sandbox_run(*command: str, prefix: list[str] | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*(prefix or []), *HWDASH, "sandbox", "run", "--", *command],
        env=clean_environment(**variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )


@pytest.fixture(scope="module")
def look(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a command without rights on the machine sees in the sandbox."""
    folder = tmp_path_factory.mktemp("look")
    temporary, report = folder / "tmp", folder / "found.json"
    temporary.mkdir()
    before = Path("/etc/hosts").read_bytes()
    done = sandbox_run(
        "python3", "-c", LOOK, str(report), prefix=WITHOUT_RIGHTS,
        TMPDIR=str(temporary), HTTPS_PROXY="http://proxy.example:3128", HWDASH_PROFILE="microsoft",
    )  # fmt: skip
    found: dict[str, Any] = json.loads(report.read_text()) if report.exists() else {}
    return found | {
        "code": done.returncode,
        "said": done.stderr,
        "left": list(temporary.iterdir()),
        "hosts as before": Path("/etc/hosts").read_bytes() == before,
    }


def test_it_ends_with_the_commands_exit_code_and_leaves_nothing(look: dict[str, Any]) -> None:
    assert look["code"] == 7, look["said"]
    assert look["left"] == []
    assert look["hosts as before"]


def test_the_command_has_a_network_of_its_own_with_the_loopback_alone(look: dict[str, Any]) -> None:
    assert look["interfaces"] == ["lo"]
    assert look["elsewhere"] == "Network is unreachable"
    assert look["uid_map"][2] == "1"  # a user namespace: it ran without rights


def test_both_hosts_answer_and_are_trusted_and_the_token_endpoint_is_at_the_login_host(look: dict[str, Any]) -> None:
    for host in HOSTS:
        assert look[host].startswith("https://login.microsoftonline.com/")
        assert set(HOSTS) <= set(look[f"names of {host}"])


def test_the_command_is_told_how_to_reach_the_sandbox_and_nothing_of_another_service(look: dict[str, Any]) -> None:
    environment = look["environment"]
    assert environment["HWDASH_URL"] == "https://manage.devcenter.microsoft.com"
    given = {"HWDASH_URL", "HWDASH_TENANT_ID", "HWDASH_CLIENT_ID", "HWDASH_CLIENT_SECRET", "HWDASH_CA", "HWDASH_DATA"}
    given.add("HWDASH_SANDBOX_TOKEN")
    assert {name for name in environment if name.startswith("HWDASH_")} == given
    assert "HTTPS_PROXY" not in environment
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "JAVA_TOOL_OPTIONS"):
        assert environment[name]
    assert look["cwd"] == str(Path.cwd())


def test_it_ends_by_the_signal_that_ended_the_command() -> None:
    assert sandbox_run("sh", "-c", "kill -TERM $$").returncode == -15


def test_without_namespaces_it_says_why_and_names_the_other_ways() -> None:
    forbid = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    done = sandbox_run("true", prefix=["unshare", "-Ur", "sh", "-c", forbid, "sh", *WITHOUT_RIGHTS])
    assert done.returncode == 1
    assert "user namespaces are turned off" in done.stderr
    assert "docs/how-to/rehearse-in-a-sandbox.md" in done.stderr
    assert "Traceback" not in done.stderr


def test_java_finds_the_ca_in_its_trust_store_as_a_trusted_certificate(tmp_path: Path) -> None:
    """Java takes a certificate of a PKCS#12 file for trusted when it has Oracle's attribute."""
    key, certificate, store = tmp_path / "ca.key", tmp_path / "ca.pem", tmp_path / "store.p12"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
         "-subj", "/CN=test", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    store.write_bytes(java_trust_store(certificate.read_bytes(), "secret"))
    shown = subprocess.run(
        ["openssl", "pkcs12", "-in", str(store), "-passin", "pass:secret", "-nokeys"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert "2.16.840.1.113894.746875.1.1" in shown or "Trusted key usage (Oracle)" in shown
    assert "BEGIN CERTIFICATE" in shown
