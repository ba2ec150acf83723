"""The rules an INF is judged by: one rule, one function, its InfVerif code in its name."""
