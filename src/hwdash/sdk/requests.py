"""The API's requests and answers without I/O: what to send, and how to read what comes back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from pydantic import ValidationError

from hwdash.sdk.errors import ApiError, AuthenticationError, SdkError, Throttled
from hwdash.wire.audience import Audience
from hwdash.wire.base import WireModel
from hwdash.wire.label import ShippingLabel
from hwdash.wire.offers import Offers
from hwdash.wire.preprod import PreprodAsset, PreprodPackage
from hwdash.wire.product import Product
from hwdash.wire.submission import Submission

T = TypeVar("T")
M = TypeVar("M", bound=WireModel)

BASE = "/v2.0/my/hardware"


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request and how its answer is read. ``repeatable``: sending it twice does no more than sending it once."""

    method: str
    path: str
    read: Callable[[Any], T]
    body: Mapping[str, Any] | None = None
    repeatable: bool = True


def _model(model: type[M]) -> Callable[[Any], M]:
    def read(value: Any) -> M:
        try:
            return model.model_validate(value)
        except ValidationError as error:
            raise SdkError(f"the service's answer is not a {model.__name__}: {error}") from error

    return read


def _collection(model: type[M]) -> Callable[[Any], tuple[list[M], str | None]]:
    read_one = _model(model)

    def read(value: Any) -> tuple[list[M], str | None]:
        page = _object(value)
        following = next_page(page)
        return [read_one(each) for each in page["value"]], following

    return read


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise SdkError("the service's answer is not a JSON object")
    return value


def _nothing(_value: Any) -> None:
    return None


def create_product(product: Mapping[str, Any]) -> Call[Product]:
    """``POST products``."""
    return Call("POST", f"{BASE}/products", _model(Product), product, repeatable=False)


def get_product(product_id: int) -> Call[Product]:
    """``GET products/{id}``."""
    return Call("GET", f"{BASE}/products/{product_id}", _model(Product))


def list_products(page: str | None = None) -> Call[tuple[list[Product], str | None]]:
    """``GET products``, or the page that a next_link names. Reads the items and the next page."""
    return Call("GET", page or f"{BASE}/products", _collection(Product))


def update_product(product_id: int, changes: Mapping[str, Any]) -> Call[None]:
    """``PATCH products/{id}``: productName, marketingNames, announcementDate."""
    return Call("PATCH", f"{BASE}/products/{product_id}", _nothing, changes)


def create_submission(product_id: int, name: str, kind: str) -> Call[Submission]:
    """``POST submissions``."""
    return Call(
        "POST",
        f"{BASE}/products/{product_id}/submissions",
        _model(Submission),
        {"name": name, "type": kind},
        repeatable=False,
    )


def get_submission(product_id: int, submission_id: int) -> Call[Submission]:
    """``GET submissions/{id}``."""
    return Call("GET", f"{BASE}/products/{product_id}/submissions/{submission_id}", _model(Submission))


def list_submissions(product_id: int, page: str | None = None) -> Call[tuple[list[Submission], str | None]]:
    """``GET submissions``."""
    return Call("GET", page or f"{BASE}/products/{product_id}/submissions", _collection(Submission))


def update_submission(product_id: int, submission_id: int, name: str) -> Call[None]:
    """``PATCH submissions/{id}``."""
    return Call("PATCH", f"{BASE}/products/{product_id}/submissions/{submission_id}", _nothing, {"name": name})


def create_label(product_id: int, submission_id: int, label: Mapping[str, Any]) -> Call[ShippingLabel]:
    """``POST shippingLabels``."""
    return Call("POST", _labels(product_id, submission_id), _model(ShippingLabel), label, repeatable=False)


def get_label(product_id: int, submission_id: int, label_id: int, *, targeting: bool = False) -> Call[ShippingLabel]:
    """``GET shippingLabels/{id}``, with its targeting when that is asked for."""
    query = "?includeTargetingInfo=true" if targeting else ""
    return Call("GET", f"{_labels(product_id, submission_id)}/{label_id}{query}", _model(ShippingLabel))


def list_labels(
    product_id: int, submission_id: int, page: str | None = None
) -> Call[tuple[list[ShippingLabel], str | None]]:
    """``GET shippingLabels``."""
    return Call("GET", page or _labels(product_id, submission_id), _collection(ShippingLabel))


def update_label(product_id: int, submission_id: int, label_id: int, targeting: Mapping[str, Any]) -> Call[None]:
    """``PATCH shippingLabels/{id}``. While the run that it starts goes on a second one is refused, so it is not
    repeated blindly.
    """
    path = f"{_labels(product_id, submission_id)}/{label_id}"
    return Call("PATCH", path, _nothing, {"targeting": targeting}, repeatable=False)


def cancel_label(product_id: int, submission_id: int, label_id: int) -> Call[None]:
    """``PUT cancel``, without a body."""
    return Call("PUT", f"{_labels(product_id, submission_id)}/{label_id}/cancel", _nothing)


def create_publisher_metadata(product_id: int, submission_id: int) -> Call[None]:
    """``POST createpublishermetadata``. One more while one is under way does nothing."""
    path = f"{BASE}/products/{product_id}/submissions/{submission_id}/createpublishermetadata"
    return Call("POST", path, _nothing, {})


def look_up(seller_id: int, product_id: int, submission_id: int) -> Call[Submission]:
    """``GET relationships``: the caller's own submission that another account's was shared as."""
    # The misspelling is the service's own.
    path = f"sourcepubliherid/{seller_id}/sourceproductid/{product_id}/sourcesubmissionid/{submission_id}"
    return Call("GET", f"{BASE}/products/relationships/{path}", _model(Submission))


def _labels(product_id: int, submission_id: int) -> str:
    return f"{BASE}/products/{product_id}/submissions/{submission_id}/shippingLabels"


def list_audiences(page: str | None = None) -> Call[tuple[list[Audience], str | None]]:
    """``GET audiences``."""
    return Call("GET", page or f"{BASE}/audiences", _collection(Audience))


def ask_offers(machine: Mapping[str, Any]) -> Call[Offers]:
    """``POST /distribution/v1/offers``: an addition of hwdash's, which Microsoft's service does not have."""
    return Call("POST", "/distribution/v1/offers", _model(Offers), machine)


def document(path: str) -> Call[dict[str, Any]]:
    """``GET`` of a path below the API's base, or of a link: the JSON object as it is."""
    return Call("GET", path if "://" in path or path.startswith(BASE) else f"{BASE}/{path}", _object)


def joined(pages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The pages of a collection as one, without the links to the next."""
    links = [each for each in pages[0].get("links") or [] if each.get("rel") != "next_link"]
    return {"value": [item for page in pages for item in page["value"]], "links": links}


def next_page(page: Mapping[str, Any]) -> str | None:
    """The link to the page behind this one. Raises SdkError when it is no page of a collection."""
    if not isinstance(page.get("value"), list):
        raise SdkError("the service's answer is not a collection")
    return next((each["href"] for each in page.get("links") or [] if each.get("rel") == "next_link"), None)


def commit(product_id: int, submission_id: int) -> Call[None]:
    """``POST commit``. A second one is refused, so it is not repeated blindly."""
    return Call(
        "POST", f"{BASE}/products/{product_id}/submissions/{submission_id}/commit", _nothing, {}, repeatable=False
    )


def upload_preprod() -> Call[PreprodPackage]:
    """``PUT preprod/packages``; the package goes as the body. A second one makes a package more, which is harmless."""
    return Call("PUT", f"{BASE}/preprod/packages", _model(PreprodPackage))


def get_preprod(package_id: str) -> Call[PreprodPackage]:
    """``GET preprod/packages/{id}``."""
    return Call("GET", f"{BASE}/preprod/packages/{_segment(package_id)}", _model(PreprodPackage))


def list_preprod_assets(package_id: str) -> Call[list[PreprodAsset]]:
    """``GET assets``: a bare array."""
    read_one = _model(PreprodAsset)

    def read(value: Any) -> list[PreprodAsset]:
        if not isinstance(value, list):
            raise SdkError("the service's answer is not an array of assets")
        return [read_one(each) for each in value]

    return Call("GET", f"{BASE}/preprod/packages/{_segment(package_id)}/assets", read)


def provenance_path(product_id: int, submission_id: int) -> str:
    """The path of the statement beside a signed package."""
    return f"{BASE}/products/{product_id}/submissions/{submission_id}/provenance"


def preprod_download_path(package_id: str, asset_id: str) -> str:
    """The path of an asset's bytes."""
    return f"{BASE}/preprod/packages/{_segment(package_id)}/assets/{_segment(asset_id)}/download"


def _segment(opaque: str) -> str:
    """An id whose form is the service's business, as one segment of a path."""
    return quote(opaque, safe="")


def raise_for(status: int, body: Any, headers: Mapping[str, str]) -> None:
    """Raise the error that an answer stands for. Returns when it is a success."""
    if status < 400:
        return
    error = body.get("error") if isinstance(body, dict) else None
    flat = body.get("message") if isinstance(body, dict) else None
    code = str(error.get("code", "")) if isinstance(error, dict) else ""
    message = str(error.get("message", "")) if isinstance(error, dict) else str(flat or "The service gave no reason.")
    if status == 429:
        try:
            retry_after = float(headers.get("Retry-After", "5"))
        except ValueError:
            retry_after = 5.0
        raise Throttled(message, retry_after)
    if status in (401, 403) and code in ("", "forbidden"):
        raise AuthenticationError(f"{message} (HTTP {status})")
    findings = [
        (str(each.get("target", "")), str(each.get("message", "")))
        for each in (error.get("validationErrors") or [] if isinstance(error, dict) else [])
        if isinstance(each, dict)
    ]
    raise ApiError(status, code, message, findings, headers.get("MS-RequestId"))
