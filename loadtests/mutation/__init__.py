"""Mutation tests: a small fault is planted, and the tests of its folder must notice it."""
