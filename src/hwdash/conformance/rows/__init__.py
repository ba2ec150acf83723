"""Every row, in the order in which they run. A new family of rows is a file here and a line below."""

from hwdash.conformance.rows import (
    access,
    blobs,
    checklist,
    enumerations,
    errors,
    label_rules,
    label_workflow,
    labels,
    leniency,
    observed,
    partners,
    paths,
    preproduction,
    register,
    routes,
)

ROWS = (
    *routes.ROWS,
    *preproduction.ROWS,
    *labels.ROWS,
    *label_rules.ROWS,
    *label_workflow.ROWS,
    *partners.ROWS,
    *access.ROWS,
    *errors.ROWS,
    *register.ROWS,
    *checklist.ROWS,
    *observed.ROWS,
    *enumerations.ROWS,
    *blobs.ROWS,
    *leniency.ROWS,
    *paths.ROWS,
)
"""All rows."""
