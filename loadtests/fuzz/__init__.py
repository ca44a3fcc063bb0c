"""Bytes without sense, steered by what they reach: every reader takes them or refuses them in words."""
