"""The other stacks, each written as its documentation shows."""
