"""Sign-in of people at a terminal, in the shape of Entra's endpoints (RFC 8628), and what refreshes it.

The terminal asks for a code, the person enters it with name and password on the page /devicelogin, and the terminal
asks for the token until it is there. Tokens name the person; their roles are read at each request.
"""

import asyncio
import base64
import hmac
import json
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route

from hwdash.clock import Clock
from hwdash.domain.audit import PERSON, UNKNOWN, act
from hwdash.server.attempts import Attempts
from hwdash.server.device_page import HEADERS, done_page, form_page
from hwdash.server.refusals import Refusals, unknown
from hwdash.server.token_requests import (
    NO_STORE,
    TokenRefusal,
    asked_audience,
    guid,
    missing,
    note_refusal,
    read_form,
    refusal_answer,
    shown,
    tenant_not_found,
)
from hwdash.server.tokens import LIFETIME, Person, TokenIssuer
from hwdash.storage import sign_ins, users
from hwdash.storage.accounts import AccountError, account_of_tenant
from hwdash.storage.audit import append
from hwdash.storage.database import Database
from hwdash.storage.passwords import password_matches
from hwdash.storage.sign_ins import Granted, OpenSignIn, Poll
from hwdash.storage.users import User
from hwdash.vocabulary import COMMAND_LINE_CLIENT_ID

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
REFRESH_TOKEN = "refresh_token"  # noqa: S105 - the name of a grant
INTERVAL = timedelta(seconds=5)
PAGE = "/devicelogin"

# Hashing a password takes 32 MB.
_AT_ONCE = 2
_WRONG = (
    "The name or the password is wrong, or you may not sign in. After several wrong passwords, wait a quarter of an "
    "hour."
)
POLLS = ("authorization_pending", "slow_down")
"""What a terminal is told while it waits: no refusals."""
_SIGN_IN = ("request", "sign_in")
_WRONG_CODE = "The code is wrong, was used, or has ended. Enter the one that your terminal shows now."


@dataclass(frozen=True, slots=True)
class _Attempt:
    """What is known of a person before their password has been looked at."""

    person: User | None
    may_try: bool


class SignIns:
    """The endpoints of one service. Several processes share the database; each limits attempts by itself."""

    def __init__(self, issuer: TokenIssuer, database: Database, clock: Clock, refusals: Refusals) -> None:
        self._issuer = issuer
        self._database = database
        self._clock = clock
        self._refusals = refusals
        self._hashing = asyncio.Semaphore(_AT_ONCE)
        self._begun = Attempts(clock, limit=60)
        self._wrong = Attempts(clock, limit=30)
        secure = issuer.public_url.startswith("https://")
        self._cookie = "__Host-hwdash-sign-in" if secure else "hwdash-sign-in"
        self._cookie_flags = {"httponly": True, "samesite": "strict", "secure": secure, "path": "/"}

    def routes(self) -> list[Route]:
        """Their routes."""
        return [
            Route("/{tenant}/oauth2/devicecode", self._begin_v1, methods=["POST"]),
            Route("/{tenant}/oauth2/v2.0/devicecode", self._begin_v2, methods=["POST"]),
            Route("/{tenant}/oauth2/v2.0/revoke", self._revoke, methods=["POST"]),
            Route(PAGE, self._show),
            Route(PAGE, self._answer, methods=["POST"]),
        ]

    async def grant(self, kind: str, fields: dict[str, str], tenant: str, version: str) -> dict[str, Any]:
        """The answer of the token endpoint to a device code or a refresh token. Raises TokenRefusal."""
        client_id = _client(fields)
        name = "device_code" if kind == DEVICE_CODE else REFRESH_TOKEN
        # Entra's v1 endpoint knows the device code as code.
        code = fields.get(name) or (fields.get("code") if kind == DEVICE_CODE else None)
        if not code:
            raise missing(name)
        if kind == REFRESH_TOKEN and (fields.get("scope") or fields.get("resource")):
            asked_audience(fields, self._issuer.resources, "scope")
        exchange = _exchange_device_code if kind == DEVICE_CODE else _exchange_refresh_token
        found = await self._database.write(exchange, tenant, code, self._clock())
        if isinstance(found, TokenRefusal):
            raise found
        person, audience, refresh_token = found
        speaks_for = Person(person.id, person.login, person.name, person.roles)
        token, issued = self._issuer.mint_for_person(
            speaks_for, client_id=client_id, tenant_id=tenant, audience=audience, version=version
        )
        lasts = int(LIFETIME.total_seconds()) - 1
        answer: dict[str, Any] = {
            "token_type": "Bearer",
            "scope": f"{audience.rstrip('/')}/.default",
            "expires_in": lasts,
            "ext_expires_in": lasts,
            "access_token": token,
            "refresh_token": refresh_token,
            "id_token": self._issuer.mint_id_token(speaks_for, client_id=client_id, tenant_id=tenant, version=version),
        }
        if fields.get("client_info") == "1":
            answer["client_info"] = _encoded({"uid": person.id, "utid": tenant})
        if version == "1.0":
            answer |= {"expires_in": str(lasts), "ext_expires_in": str(lasts), "expires_on": str(issued + lasts)}
            answer |= {"not_before": str(issued), "resource": audience}
        return answer

    async def _begin_v1(self, request: Request) -> JSONResponse:
        return await self._begin(request, "1.0")

    async def _begin_v2(self, request: Request) -> JSONResponse:
        return await self._begin(request, "2.0")

    async def _begin(self, request: Request, version: str) -> JSONResponse:
        try:
            fields = await read_form(request)
            _client(fields)
            audience = asked_audience(fields, self._issuer.resources, "scope" if version == "2.0" else "resource")
            if not self._begun.try_once(_address(request)):
                raise _busy()
            made = await self._database.write(_begin, guid(request.path_params["tenant"]), audience, self._clock())
            if isinstance(made, TokenRefusal):
                raise made
        except TokenRefusal as refusal:
            await note_refusal(self._refusals, request, refusal)
            return refusal_answer(request, refusal, self._clock())
        page = f"{self._issuer.public_url}{PAGE}"
        lasts, interval = int(sign_ins.CODE_LIFETIME.total_seconds()), int(INTERVAL.total_seconds())
        answer: dict[str, Any] = {
            "user_code": made.user_code,
            "device_code": made.device_code,
            "message": f"To sign in, open the page {page} and enter the code {made.user_code}.",
        }
        if version == "2.0":
            answer |= {"verification_uri": page, "expires_in": lasts, "interval": interval}
        else:
            answer |= {"verification_url": page, "expires_in": str(lasts), "interval": str(interval)}
        return JSONResponse(answer, headers=NO_STORE)

    async def _revoke(self, request: Request) -> JSONResponse:
        """RFC 7009: 200 whether the token counted or not."""
        try:
            fields = await read_form(request)
            if not (token := fields.get("token")):
                raise missing("token")
        except TokenRefusal as refusal:
            return refusal_answer(request, refusal, self._clock())
        await self._database.write(_sign_out, token, self._clock())
        return JSONResponse({}, headers=NO_STORE)

    async def _show(self, request: Request) -> HTMLResponse:
        return self._form(request, 200)

    async def _answer(self, request: Request) -> HTMLResponse:
        try:
            fields = await read_form(request)
        except TokenRefusal as refusal:
            return self._form(request, refusal.status, problem=refusal.description)
        cookie = request.cookies.get(self._cookie, "")
        if not cookie or not hmac.compare_digest(cookie.encode(), fields.get("csrf", "").encode("utf-8", "replace")):
            return self._form(request, 403, problem="This page was too old, or cookies are off. Enter all of it again.")
        if not self._wrong.has_room(_address(request)):
            return self._form(request, 429, problem="Too many attempts failed. Wait a quarter of an hour.")
        now = self._clock()
        sign_in = await self._database.read(sign_ins.open_sign_in, fields.get("code", ""), now)
        if sign_in is None:
            self._wrong.try_once(_address(request))
            await self._refusals.note(unknown(_address(request)), _SIGN_IN, "wrong code")
            return self._form(request, 400, problem=_WRONG_CODE)
        if fields.get("answer") == "deny":
            await self._database.write(_deny, sign_in, _address(request), now)
            return HTMLResponse(done_page("The sign-in was refused. You can close this page."), headers=HEADERS)
        return await self._sign_in(request, fields, sign_in)

    async def _sign_in(self, request: Request, fields: dict[str, str], sign_in: OpenSignIn) -> HTMLResponse:
        now = self._clock()
        shown_again = {"code": fields.get("code", "")[:20], "login": fields.get("login", "")[:200]}
        attempt = await self._database.write(_begin_attempt, sign_in, fields.get("login", ""), now)
        person = attempt.person
        async with self._hashing:
            matches = await asyncio.to_thread(
                password_matches, fields.get("password", ""), None if person is None else person.password
            )
        if person is None or not matches or not attempt.may_try:
            self._wrong.try_once(_address(request))
            await self._database.write(sign_ins.count_failure, sign_in)
            # Not the name that was entered: it may be a password in the wrong field.
            who = unknown(_address(request), sign_in.account_id)
            tried = None if person is None else person.id
            await self._refusals.note(who, _SIGN_IN, "wrong name or password, or barred", person=tried)
            return self._form(request, 400, problem=_WRONG, **shown_again)
        chosen = fields.get("new_password", "")
        if person.one_time_until is not None and (not chosen or chosen != fields.get("new_password_again")):
            await self._database.write(users.note_success, person.id)
            problem = "The two new passwords differ." if chosen else "Choose a password in place of the one-time one."
            return self._form(request, 400, problem=problem, new_password=True, **shown_again)
        try:
            done = await self._database.write(_finish, sign_in, person, chosen, now)
        except AccountError as error:
            return self._form(request, 400, problem=_sentence(error), new_password=True, **shown_again)
        if not done:
            return self._form(request, 400, problem=_WRONG_CODE)
        return HTMLResponse(done_page("You are signed in. Go back to your terminal."), headers=HEADERS)

    def _form(self, request: Request, status: int, **shown_fields: Any) -> HTMLResponse:
        token = request.cookies.get(self._cookie) or secrets.token_urlsafe(32)
        answer = HTMLResponse(form_page(token, **shown_fields), status, headers=HEADERS)
        answer.set_cookie(self._cookie, token, **self._cookie_flags)  # type: ignore[arg-type]  # one dict of both types
        return answer


def _begin(connection: sa.Connection, tenant: str, audience: str, now: datetime) -> sign_ins.NewCodes | TokenRefusal:
    account = account_of_tenant(connection, tenant)
    if account is None:
        return tenant_not_found(tenant)
    return sign_ins.begin_sign_in(connection, account.id, audience, now) or _busy()


def _begin_attempt(connection: sa.Connection, sign_in: OpenSignIn, login: str, now: datetime) -> _Attempt:
    """Counted before the password is looked at, so that many attempts at once are no way round the count."""
    person = users.user_of_login(connection, sign_in.account_id, login)
    if person is None:
        return _Attempt(None, may_try=False)
    barred = person.is_disabled or (person.one_time_until is not None and now >= person.one_time_until)
    return _Attempt(person, may_try=not barred and users.count_attempt(connection, person.id, now))


def _finish(connection: sa.Connection, sign_in: OpenSignIn, person: User, chosen: str, now: datetime) -> bool:
    # As it is now: it may have been barred, or given another password, since it was looked at.
    current = users.user(connection, person.id)
    if current is None or current.is_disabled or not hmac.compare_digest(current.password, person.password):
        return False
    if person.one_time_until is not None:
        users.choose_password(connection, person, chosen)
    users.note_success(connection, person.id)
    is_done = sign_ins.answer_sign_in(connection, sign_in, person.id, now)
    if is_done or person.one_time_until is not None:
        chose = person.one_time_until is not None
        done = "sign_in" if is_done else "choose_password"
        thing = "person", person.id
        append(connection, act(sign_in.account_id, now, (PERSON, person.id), done, thing, chosePassword=chose))
    return is_done


def _deny(connection: sa.Connection, sign_in: OpenSignIn, address: str, now: datetime) -> None:
    if sign_ins.answer_sign_in(connection, sign_in, None, now):
        append(connection, act(sign_in.account_id, now, (UNKNOWN, address), "deny_sign_in", _SIGN_IN))


def _sign_out(connection: sa.Connection, token: str, now: datetime) -> None:
    person = sign_ins.end_family(connection, token)
    if person is not None and (known := users.user(connection, person)) is not None:
        append(connection, act(known.account_id, now, (PERSON, person), "sign_out", ("person", person)))


_REFUSED = {
    Poll.UNKNOWN: ("invalid_grant", 70000, "The device code is not one of this tenant, or was used before."),
    Poll.TOO_FAST: ("slow_down", 70017, "Ask less often: the answer to the device code request says how often."),
    Poll.EXPIRED: ("expired_token", 70020, "The code has ended before somebody signed in with it. Begin again."),
    Poll.PENDING: ("authorization_pending", 70016, "Nobody has signed in with the code yet. Ask again."),
    Poll.DENIED: ("access_denied", 65004, "The sign-in was refused."),
}


def _exchange_device_code(
    connection: sa.Connection, tenant: str, code: str, now: datetime
) -> tuple[User, str, str] | TokenRefusal:
    account = account_of_tenant(connection, tenant)
    if account is None:
        return tenant_not_found(tenant)
    poll, granted = sign_ins.poll_sign_in(connection, account.id, code, INTERVAL, now)
    if granted is None:
        return TokenRefusal(*_REFUSED[poll])
    person = users.user(connection, granted.user_id)
    if person is None or person.is_disabled:
        return TokenRefusal(*_REFUSED[Poll.DENIED])
    _note_token(connection, person, now, "device code")
    return person, granted.audience, sign_ins.new_refresh_token(connection, granted, now)


def _exchange_refresh_token(
    connection: sa.Connection, tenant: str, token: str, now: datetime
) -> tuple[User, str, str] | TokenRefusal:
    ended = TokenRefusal("invalid_grant", 700082, "The sign-in has ended, or its refresh token was used before.")
    used = sign_ins.use_refresh_token(connection, token, now)
    account = account_of_tenant(connection, tenant)
    if used is None or account is None:
        return ended
    granted, family = used
    person = users.user(connection, granted.user_id)
    if person is None or person.is_disabled or person.account_id != account.id:
        return ended
    _note_token(connection, person, now, "refresh token")
    renewed = sign_ins.new_refresh_token(connection, Granted(person.id, granted.audience), now, family=family)
    return person, granted.audience, renewed


def _note_token(connection: sa.Connection, person: User, now: datetime, by: str) -> None:
    append(connection, act(person.account_id, now, (PERSON, person.id), "get_token", ("person", person.id), by=by))


def _client(fields: dict[str, str]) -> str:
    client_id = fields.get("client_id", "")
    if not client_id:
        raise missing("client_id")
    if guid(client_id) != COMMAND_LINE_CLIENT_ID:
        raise TokenRefusal(
            "unauthorized_client",
            700016,
            f"People sign in to the client {COMMAND_LINE_CLIENT_ID} only, not to '{shown(client_id)}'.",
        )
    return COMMAND_LINE_CLIENT_ID


def _busy() -> TokenRefusal:
    return TokenRefusal("temporarily_unavailable", 90055, "Too many sign-ins are under way. Try again later.", 429)


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _encoded(value: dict[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _sentence(error: Exception) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."
