"""The forms in which clients write paths, and in which they ask for tokens (contract, 1.1 and 1.2)."""

from collections.abc import Callable

import httpx

from hwdash.conformance import expect
from hwdash.conformance.caller import API, object_of
from hwdash.conformance.outcome import NotApplicable, Source
from hwdash.conformance.row import Rows
from hwdash.conformance.stage import Stage
from hwdash.sdk.auth import AUDIENCE

ROWS = Rows()

BASES = (
    ("/v1.0/my/hardware", Source.EARLIER),
    ("/v2.0/hardware", Source.EARLIER),
    ("/v1.0/hardware", Source.EARLIER),
    ("/api/v1.0/my/hardware", Source.OURS),
    ("/api/v1.0/hardware", Source.OURS),
    ("/api/v1/hardware", Source.OURS),
    ("/api/v2.0/hardware", Source.OURS),
)


def _same(stage: Stage, base: str, path: str) -> None:
    """The path leads to the sample, without a redirect."""
    answer = stage.caller.send("GET", path, base=base)
    expect.status(answer, 200)
    canonical = stage.caller.send("GET", f"/products/{stage.sample.id}")
    expect.equal(object_of(answer), object_of(canonical), f"the product at {base}{path}")


def _base(base: str) -> Callable[[Stage], None]:
    return lambda stage: _same(stage, base, f"/products/{stage.sample.id}")


for _written, _source in BASES:
    ROWS.row(f"path-{_written.strip('/').replace('/', '-')}", _source, title=f"{_written} is the same API")(
        _base(_written)
    )


@ROWS.row("path-trailing-slash", Source.FIELD)
def trailing_slash(stage: Stage) -> None:
    """A slash at the end changes nothing, at lists and at ids."""
    _same(stage, API, f"/products/{stage.sample.id}/")
    _ = stage.pending
    for path in ("/products/", f"/products/{stage.sample.id}/submissions/", f"{stage.pending_path}/"):
        expect.status(stage.caller.send("GET", path), 200)


@ROWS.row("path-trailing-slash-commit", Source.FIELD, waits="failing")
def trailing_slash_commit(stage: Stage) -> None:
    """A slash after commit changes nothing."""
    answer = stage.caller.send("POST", f"{stage.begin('failing').path}/commit/")
    expect.error(answer, 422, "requestInvalidForCurrentState")


@ROWS.row("path-trailing-slash-verbs", Source.DOCUMENTED)
def trailing_slash_verbs(stage: Stage) -> None:
    """A slash at the end changes nothing for POST and PATCH."""
    expect.error(stage.caller.send("POST", "/products/", json={}), 422, "invalidInput")
    _ = stage.pending
    expect.empty(stage.caller.send("PATCH", f"{stage.pending_path}/", json={"name": "slash"}), 204)


@ROWS.row("path-any-case", Source.OURS)
def any_case(stage: Stage) -> None:
    """Path segments are matched in any case."""
    _same(stage, API, f"/PRODUCTS/{stage.sample.id}")
    _same(stage, "/V2.0/My/Hardware", f"/Products/{stage.sample.id}")


# Tokens


def _ask(stage: Stage, version: str, changes: dict[str, str], slash: str = "") -> httpx.Response:
    application = stage.caller.application
    form = {
        "grant_type": "client_credentials",
        "client_id": application.client_id,
        "client_secret": application.client_secret,
    } | changes
    url = f"{stage.target.authority}/{application.tenant_id}/oauth2/{version}token{slash}"
    return stage.caller.http.post(url, data=form)


def _is_token(stage: Stage, answer: httpx.Response) -> None:
    # Not shown(): the answer is a secret.
    expect.true(answer.status_code == 200, f"{answer.request.url.path} answered {answer.status_code}, not 200.")
    body = answer.json()
    expect.equal(body.get("token_type"), "Bearer", "token_type")
    expect.true(str(body.get("expires_in", "")).isdecimal(), f"expires_in is {body.get('expires_in')!r}.")
    expect.true(isinstance(body.get("access_token"), str), "there is no access_token.")
    used = stage.caller.send("GET", "/products?pageSize=1", authorization=f"Bearer {body['access_token']}")
    expect.status(used, 200)


@ROWS.row("token-v1-resource", Source.DOCUMENTED)
def token_by_resource(stage: Stage) -> None:
    """oauth2/token with resource."""
    _is_token(stage, _ask(stage, "", {"resource": AUDIENCE}))


@ROWS.row("token-v2-scope", Source.CLIENTS)
def token_by_scope(stage: Stage) -> None:
    """oauth2/v2.0/token with scope."""
    _is_token(stage, _ask(stage, "v2.0/", {"scope": f"{AUDIENCE}/.default"}))


@ROWS.row("token-trailing-slash", Source.FIELD)
def token_with_slash(stage: Stage) -> None:
    """A slash after token changes nothing."""
    _is_token(stage, _ask(stage, "", {"resource": AUDIENCE}, slash="/"))


@ROWS.row("token-form-without-type", Source.FIELD)
def token_without_type(stage: Stage) -> None:
    """A form with no Content-Type and an unescaped resource is taken."""
    application = stage.caller.application
    if set(application.client_secret) & set("&+%# "):
        raise NotApplicable("the client secret has characters that a form must escape.")
    form = (
        f"grant_type=client_credentials&client_id={application.client_id}"
        f"&client_secret={application.client_secret}&resource={AUDIENCE}"
    )
    url = f"{stage.target.authority}/{application.tenant_id}/oauth2/token"
    _is_token(stage, stage.caller.http.post(url, content=form.encode()))


@ROWS.row("token-wrong-secret", Source.DOCUMENTED)
def wrong_secret(stage: Stage) -> None:
    """A wrong secret: 401 and an OAuth error."""
    answer = _ask(stage, "v2.0/", {"client_secret": "wrong", "scope": f"{AUDIENCE}/.default"})
    expect.status(answer, 400, 401)
    expect.true(
        object_of(answer).get("error") in ("invalid_client", "invalid_request"), f"error is {answer.text[:100]}"
    )
