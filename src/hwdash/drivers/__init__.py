"""The driver toolkit: INF, cabinets, PE files, catalogs and Authenticode. Binary files in, values out; no clock,
network or database.
"""
