"""The console: the pages of operators and keyword owners."""
