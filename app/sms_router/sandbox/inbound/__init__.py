"""A phone texts one of the account's numbers."""
