"""Tables, queries and blobs."""
