"""The peer of bench/api.py: the same routes as FastAPI's and SQLAlchemy's documentation would have them written.

FastAPI with dependencies and response models, SQLAlchemy's asynchronous ORM (one session a request,
``expire_on_commit=False``), aiosqlite or asyncpg. It shares with the service what is not the stack: the token check
with its memory of verified tokens, the upload and download signatures, and the pydantic models of the wire. Its tables
have the service's columns and indexes; SQLite runs with the same pragmas.

Run by the bench: ``api_peer.py PORT DATABASE_URL PRODUCT``, the last one a JSON object. It makes its tables and one
product with one submission, and prints one JSON line with ``token``, ``product`` and ``submission`` before it listens.
"""

import asyncio
import hashlib
import json
import secrets
import sys
from datetime import UTC, datetime
from typing import Annotated, Any

import uvicorn
from cryptography.hazmat.primitives.asymmetric import rsa
from fastapi import Depends, FastAPI, Header, HTTPException, Request, Response
from sqlalchemy import JSON, BigInteger, DateTime, ForeignKey, Index, String, event, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, joinedload, mapped_column, relationship

from hwdash.clock import system_clock
from hwdash.domain.identifiers import new_blob_key, new_long_id, new_product_id
from hwdash.server.sas import SasSigner
from hwdash.server.tokens import RESOURCE, TokenIssuer, TokenRejected
from hwdash.wire.base import link
from hwdash.wire.product import Product, ProductCreate
from hwdash.wire.submission import Download, Downloads, Submission, WorkflowStatus

PORT, DATABASE = int(sys.argv[1]), sys.argv[2]
URL = f"http://127.0.0.1:{PORT}"
API = "/v2.0/my/hardware"
READERS = {"Driver Submitter", "Shipping Label Owner", "Administrator", "Report Reviewer"}
SUBMITTERS = {"Driver Submitter", "Administrator"}


class Base(DeclarativeBase):
    pass


class AccountRow(Base):
    __tablename__ = "accounts"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    tenant_id: Mapped[str] = mapped_column(String(36), unique=True)
    name: Mapped[str] = mapped_column(String(200))


class ApplicationRow(Base):
    __tablename__ = "applications"
    client_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), index=True)
    name: Mapped[str] = mapped_column(String(200))
    roles: Mapped[list[str]] = mapped_column(JSON)
    account: Mapped[AccountRow] = relationship(lazy="joined", innerjoin=True)


class ProductRow(Base):
    __tablename__ = "products"
    __table_args__ = (Index("ix_products_account_created", "account_id", "created_at", "id"),)
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    shared_product_id: Mapped[int] = mapped_column(BigInteger)
    name: Mapped[str]
    test_harness: Mapped[str] = mapped_column(String(20))
    attributes: Mapped[dict[str, Any]] = mapped_column(JSON)
    is_committed: Mapped[bool]
    is_extension_inf: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class DownloadRow(Base):
    __tablename__ = "downloads"
    submission_id: Mapped[int] = mapped_column(ForeignKey("submissions.id"), primary_key=True)
    type: Mapped[str] = mapped_column(String(30), primary_key=True)
    blob: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(200))


class SubmissionRow(Base):
    __tablename__ = "submissions"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    product_id: Mapped[int] = mapped_column(ForeignKey("products.id"), index=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    name: Mapped[str]
    type: Mapped[str] = mapped_column(String(10))
    commit_status: Mapped[str] = mapped_column(String(20))
    current_step: Mapped[str | None] = mapped_column(String(40))
    state: Mapped[str | None] = mapped_column(String(20))
    messages: Mapped[list[str]] = mapped_column(JSON)
    package_blob: Mapped[str] = mapped_column(String(64), unique=True)
    created_by: Mapped[str] = mapped_column(String(36))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    downloads: Mapped[list[DownloadRow]] = relationship(lazy="raise")


class CreateRow(Base):
    __tablename__ = "creates"
    client_id: Mapped[str] = mapped_column(ForeignKey("applications.client_id"), primary_key=True)
    request_id: Mapped[str] = mapped_column(String(100), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64), primary_key=True)
    object_id: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


engine = create_async_engine(DATABASE)
if engine.dialect.name == "sqlite":

    @event.listens_for(engine.sync_engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=30000", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")


sessions = async_sessionmaker(engine, expire_on_commit=False)
tokens = TokenIssuer(rsa.generate_private_key(65537, 2048), URL, system_clock)
sas = SasSigner(secrets.token_bytes(32), URL, system_clock)


async def correlation(request: Request, response: Response) -> None:
    """The two headers that every answer carries."""
    for name in ("MS-CorrelationId", "MS-RequestId"):
        response.headers[name] = request.headers.get(name) or secrets.token_hex(16)


app = FastAPI(dependencies=[Depends(correlation)])


async def session() -> Any:
    """One session a request."""
    async with sessions() as opened:
        yield opened


Opened = Annotated[AsyncSession, Depends(session)]


async def caller(opened: Opened, authorization: Annotated[str, Header()] = "") -> ApplicationRow:
    """The application behind the token, as the database knows it now."""
    try:
        verified = tokens.verify(authorization.removeprefix("Bearer "))
    except TokenRejected as error:
        raise HTTPException(401, str(error)) from error
    found = await opened.get(ApplicationRow, verified.client_id)
    if found is None or found.account.tenant_id != verified.tenant_id:
        raise HTTPException(401, "no such application")
    if "Manager" not in found.roles:
        raise HTTPException(403, "not a Manager")
    return found


async def reader(found: Annotated[ApplicationRow, Depends(caller)]) -> ApplicationRow:
    """A caller who may read."""
    if READERS.isdisjoint(found.roles):
        raise HTTPException(403, "a hardware role is needed")
    return found


async def submitter(found: Annotated[ApplicationRow, Depends(caller)]) -> ApplicationRow:
    """A caller who may submit."""
    if SUBMITTERS.isdisjoint(found.roles):
        raise HTTPException(403, "Driver Submitter is needed")
    return found


def product_out(row: ProductRow) -> Product:
    """The product on the wire."""
    url = f"{URL}{API}/products/{row.id}"
    return Product(
        **row.attributes,
        id=row.id,
        shared_product_id=row.shared_product_id,
        links=[link(url, "self"), link(f"{url}/submissions", "get_submissions")],
        product_name=row.name,
        test_harness=row.test_harness,
        is_committed=row.is_committed,
        is_extension_inf=row.is_extension_inf,
        created_date_time=row.created_at,
        updated_date_time=row.updated_at,
    )


@app.get(f"{API}/products/{{product_id}}", response_model=Product, response_model_exclude_none=True)
async def get_product(product_id: int, who: Annotated[ApplicationRow, Depends(reader)], opened: Opened) -> Product:
    """One product of the caller's account."""
    row = await opened.scalar(
        select(ProductRow).where(ProductRow.id == product_id, ProductRow.account_id == who.account_id)
    )
    if row is None:
        raise HTTPException(404, "no such product")
    return product_out(row)


@app.post(f"{API}/products", status_code=201, response_model=Product, response_model_exclude_none=True)
async def create_product(
    wanted: ProductCreate,
    who: Annotated[ApplicationRow, Depends(submitter)],
    opened: Opened,
    response: Response,
    ms_requestid: Annotated[str | None, Header(alias="MS-RequestId")] = None,
) -> Product:
    """A new product; a repeated request gets the first one's."""
    request_id = ms_requestid or secrets.token_hex(16)
    fingerprint = hashlib.sha256(f"products\n{wanted.model_dump_json()}".encode()).hexdigest()
    made = await opened.get(CreateRow, (who.client_id, request_id, fingerprint))
    if made is not None:
        return product_out(await opened.get_one(ProductRow, made.object_id))
    now = system_clock()
    attributes = wanted.to_wire()
    row = ProductRow(
        id=new_product_id(),
        account_id=who.account_id,
        shared_product_id=new_long_id(),
        name=attributes.pop("productName"),
        test_harness=attributes.pop("testHarness"),
        attributes=attributes,
        is_committed=False,
        is_extension_inf=False,
        created_at=now,
        updated_at=now,
    )
    opened.add(row)
    opened.add(
        CreateRow(
            client_id=who.client_id, request_id=request_id, fingerprint=fingerprint, object_id=row.id, created_at=now
        )
    )
    await opened.commit()
    product = product_out(row)
    response.headers["Location"] = product.links[0].href
    return product


@app.get(
    f"{API}/products/{{product_id}}/submissions/{{submission_id}}",
    response_model=Submission,
    response_model_exclude_none=True,
)
async def get_submission(
    product_id: int, submission_id: int, who: Annotated[ApplicationRow, Depends(reader)], opened: Opened
) -> Submission:
    """One submission of the caller's account, with its downloads."""
    row = await opened.scalar(
        select(SubmissionRow)
        .where(
            SubmissionRow.id == submission_id,
            SubmissionRow.product_id == product_id,
            SubmissionRow.account_id == who.account_id,
        )
        .options(joinedload(SubmissionRow.downloads))
    )
    if row is None:
        raise HTTPException(404, "no such submission")
    url = f"{URL}{API}/products/{row.product_id}/submissions/{row.id}"
    pending = row.commit_status == "commitPending"
    links = [link(url, "self"), link(url, "update_submission", "PATCH")]
    if pending:
        links.append(link(f"{url}/commit", "commit_submission", "POST"))
    status = None
    if row.current_step is not None and row.state is not None:
        status = WorkflowStatus(current_step=row.current_step, state=row.state, messages=row.messages)
    name = f"Initial_{row.id}.cab"
    package = sas.url(row.package_blob, name, permissions="rwl" if pending else "rl", download_name=name)
    items = [Download(type="initialPackage", url=package)]
    items += [
        Download(type=each.type, url=sas.url(each.blob, each.name, permissions="rl", download_name=each.name))
        for each in row.downloads
    ]
    return Submission(
        id=row.id,
        product_id=row.product_id,
        name=row.name,
        type=row.type,
        links=links,
        commit_status=row.commit_status,
        workflow_status=status,
        downloads=Downloads(items=items),
        created_by=row.created_by,
        created_date_time=row.created_at,
    )


async def seed() -> dict[str, object]:
    """The tables, one application, one product with one submission; what the bench asks for."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    client, tenant, now = new_blob_key(), new_blob_key(), datetime.now(UTC)
    product, submission = new_product_id(), new_long_id()
    attributes = ProductCreate.from_wire(json.loads(sys.argv[3])).to_wire()
    async with sessions.begin() as opened:
        opened.add(AccountRow(id=12345678, tenant_id=tenant, name="Bench"))
        await opened.flush()
        roles = ["Manager", "Driver Submitter", "Shipping Label Owner"]
        opened.add(ApplicationRow(client_id=client, account_id=12345678, name="Bench", roles=roles))
        opened.add(
            ProductRow(
                id=product,
                account_id=12345678,
                shared_product_id=new_long_id(),
                name=attributes.pop("productName"),
                test_harness=attributes.pop("testHarness"),
                attributes=attributes,
                is_committed=False,
                created_at=now,
                updated_at=now,
            )
        )
        await opened.flush()
        opened.add(
            SubmissionRow(
                id=submission,
                product_id=product,
                account_id=12345678,
                name="Bench",
                type="initial",
                commit_status="commitPending",
                current_step=None,
                state=None,
                messages=[],
                package_blob=new_blob_key(),
                created_by=client,
                created_at=now,
            )
        )
    await engine.dispose()
    token, _ = tokens.mint(
        client_id=client, tenant_id=tenant, roles=roles, audience=RESOURCE, version="1.0", by_certificate=False
    )
    return {"url": URL, "token": token, "product": product, "submission": submission}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(seed())), flush=True)
    uvicorn.run(
        app,
        port=PORT,
        loop="uvloop",
        http="httptools",
        access_log=False,
        server_header=False,
        log_level="warning",
        backlog=512,
    )
