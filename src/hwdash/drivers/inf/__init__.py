"""INF files: text in, an ordered and lossless document out, and what a driver dashboard reads from it."""
