"""The table of routes: contract/api.md section 2, with the roles of section 8.3.

A new route is one row here and one function (server/route.py says which).
"""

from hwdash.domain.access import SUBMITTERS
from hwdash.drivers.dsse import MEDIA_TYPE
from hwdash.server.api import audiences, labels, offers, partners, preprod, products, provenance, reports, submissions
from hwdash.server.api.pages import PageQuery
from hwdash.server.paths import CANONICAL_BASE
from hwdash.server.route import HARDWARE_ROLES, LABEL_OWNERS, PRODUCT_SUBMITTERS, Route
from hwdash.wire.audience import Audience
from hwdash.wire.label import LabelCreateBody, LabelUpdateBody, ShippingLabel
from hwdash.wire.offers import MachineDocument, Offers, OffersQuery
from hwdash.wire.preprod import PreprodAsset, PreprodPackage
from hwdash.wire.product import Product, ProductCreate, ProductUpdateBody
from hwdash.wire.submission import Submission, SubmissionCreate, SubmissionUpdateBody

PRODUCTS = f"{CANONICAL_BASE}/products"
PRODUCT = f"{PRODUCTS}/{{product_id}}"
SUBMISSIONS = f"{PRODUCT}/submissions"
SUBMISSION = f"{SUBMISSIONS}/{{submission_id}}"
LABELS = f"{SUBMISSION}/shippingLabels"
LABEL = f"{LABELS}/{{label_id}}"
PREPROD_PACKAGES = f"{CANONICAL_BASE}/preprod/packages"
PREPROD_PACKAGE = f"{PREPROD_PACKAGES}/{{package_id}}"
PREPROD_ASSET = f"{PREPROD_PACKAGE}/assets/{{asset_id}}"
# Room for 50,000 hardware ids.
LARGEST_LABEL = 32 << 20
OFFERS = "/distribution/v1/offers"
_SOURCE = "{seller_id}/sourceproductid/{product_id}/sourcesubmissionid/{submission_id}"

ROUTES = (
    Route(
        "GET",
        PRODUCTS,
        "list products, newest first, in pages",
        HARDWARE_ROLES,
        products.list_of_products,
        query=products.ProductQuery,
        answer=list[Product],
    ),
    Route(
        "POST",
        PRODUCTS,
        "create a product",
        PRODUCT_SUBMITTERS,
        products.create_product,
        body=ProductCreate,
        answer=Product,
        status=201,
        again=products.get_product,
    ),
    Route("GET", PRODUCT, "get a product", HARDWARE_ROLES, products.get_product, answer=Product, is_point=True),
    Route(
        "PATCH",
        PRODUCT,
        "change a product's name, marketing names or announcement date",
        PRODUCT_SUBMITTERS,
        products.update_product,
        body=ProductUpdateBody,
        status=204,
    ),
    Route(
        "GET",
        SUBMISSIONS,
        "list a product's submissions, without downloads",
        HARDWARE_ROLES,
        submissions.list_of_submissions,
        query=PageQuery,
        answer=list[Submission],
    ),
    Route(
        "POST",
        SUBMISSIONS,
        "create a submission",
        PRODUCT_SUBMITTERS,
        submissions.create_submission,
        body=SubmissionCreate,
        answer=Submission,
        status=201,
        again=submissions.get_submission,
    ),
    Route(
        "GET",
        SUBMISSION,
        "get a submission with its workflow status and downloads",
        HARDWARE_ROLES,
        submissions.get_submission,
        answer=Submission,
        is_point=True,
    ),
    Route(
        "PATCH",
        SUBMISSION,
        "rename a submission",
        PRODUCT_SUBMITTERS,
        submissions.update_submission,
        body=SubmissionUpdateBody,
        status=204,
    ),
    Route(
        "POST",
        f"{SUBMISSION}/commit",
        "hand the uploaded package over; no body",
        PRODUCT_SUBMITTERS,
        submissions.commit_submission,
        status=202,
        again=submissions.committed_before,
    ),
    Route(
        "GET",
        f"{SUBMISSION}/provenance",
        "the signed statement of how the signed package was made; not in Microsoft's API",
        HARDWARE_ROLES,
        provenance.get_provenance,
        answer=MEDIA_TYPE,
    ),
    Route(
        "POST",
        f"{SUBMISSION}/createpublishermetadata",
        "make the driver metadata of a submission that was received by sharing; there already for one's own",
        SUBMITTERS | LABEL_OWNERS,
        partners.create_publisher_metadata,
        status=202,
    ),
    Route(
        "GET",
        LABELS,
        "list a submission's shipping labels, newest first",
        HARDWARE_ROLES,
        labels.list_of_labels,
        query=labels.LabelListQuery,
        answer=list[ShippingLabel],
    ),
    Route(
        "POST",
        LABELS,
        "create a shipping label, and begin its distribution",
        LABEL_OWNERS,
        labels.create_label,
        body=LabelCreateBody,
        answer=ShippingLabel,
        status=201,
        again=labels.get_label,
        largest_body=LARGEST_LABEL,
    ),
    Route(
        "GET",
        LABEL,
        "get a shipping label with its workflow status, and its targeting where that is asked for",
        HARDWARE_ROLES,
        labels.get_label,
        query=labels.TargetingQuery,
        answer=ShippingLabel,
    ),
    Route(
        "PATCH",
        LABEL,
        "change a shipping label's targeting",
        LABEL_OWNERS,
        labels.update_label,
        body=LabelUpdateBody,
        status=204,
        largest_body=LARGEST_LABEL,
    ),
    Route(
        "PUT",
        f"{LABEL}/cancel",
        "cancel a shipping label in approval or gradual rollout; no body",
        LABEL_OWNERS,
        labels.cancel_label,
        status=204,
    ),
    Route(
        "GET",
        f"{CANONICAL_BASE}/audiences",
        "list the audiences that shipping labels can be restricted to",
        HARDWARE_ROLES,
        audiences.list_of_audiences,
        query=PageQuery,
        answer=list[Audience],
        aliases=(f"{CANONICAL_BASE}/audience",),
    ),
    Route(
        "GET",
        # The misspelling is the service's own (contract/observed.md 23).
        f"{PRODUCTS}/relationships/sourcepubliherid/{_SOURCE}",
        "the submission that the caller has of a partner's, by the partner's ids",
        HARDWARE_ROLES,
        partners.look_up,
        answer=Submission,
        aliases=(f"{PRODUCTS}/relationships/sourcepublisherid/{_SOURCE}",),
    ),
    Route(
        "PUT",
        PREPROD_PACKAGES,
        "upload a package for preproduction signing: the body is the package",
        SUBMITTERS,
        stream=preprod.upload_package,
        answer=PreprodPackage,
        status=201,
    ),
    Route(
        "GET",
        PREPROD_PACKAGE,
        "get a preproduction package with its signing status and assets",
        HARDWARE_ROLES,
        preprod.get_package,
        query=PageQuery,
        answer=PreprodPackage,
    ),
    Route(
        "GET",
        f"{PREPROD_PACKAGE}/assets",
        "list a preproduction package's assets: a bare array",
        HARDWARE_ROLES,
        preprod.list_of_assets,
        query=PageQuery,
        answer=tuple[PreprodAsset, ...],
    ),
    Route(
        "GET",
        PREPROD_ASSET,
        "get an asset of a preproduction package",
        HARDWARE_ROLES,
        preprod.get_asset,
        answer=PreprodAsset,
    ),
    Route(
        "GET",
        f"{PREPROD_ASSET}/download",
        "download an asset: the signed files in a zip",
        HARDWARE_ROLES,
        preprod.download_asset,
        answer="application/zip",
    ),
    Route(
        "GET",
        OFFERS,
        "what a machine is offered, and by which rule it is not offered the rest",
        HARDWARE_ROLES,
        offers.get_offers,
        query=OffersQuery,
        answer=Offers,
        is_point=True,
    ),
    Route(
        "POST",
        OFFERS,
        "the same for a machine document that is too long for a query",
        HARDWARE_ROLES,
        offers.ask_offers,
        body=MachineDocument,
        answer=Offers,
        only_reads=True,
    ),
    Route(
        "GET",
        f"{reports.REPORT_PATH}/{{seller_id}}/{{product_id}}/{{submission_id}}",
        "the certification report of a finished submission, as HTML, without a token",
        None,
        reports.get_report,
        answer="text/html",
    ),
)
