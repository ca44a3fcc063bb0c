"""Mutation tests: a small fault is planted, and a test of its folder must fail."""
