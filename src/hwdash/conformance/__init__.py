"""A black-box suite over HTTP: does a service answer as the Hardware dashboard API does, whoever wrote it?"""
