"""The Hardware dashboard API, one file a resource."""
