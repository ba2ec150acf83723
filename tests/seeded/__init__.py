"""Faults planted into good INFs, one module a family of rules; tests/acceptance/test_seeded_faults.py runs them."""
