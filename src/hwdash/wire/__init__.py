"""The public JSON of the Hardware dashboard API as pydantic models, shared by the server and the SDK."""
