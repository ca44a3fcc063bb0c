"""Benchmarks, load tests and fault injection."""
