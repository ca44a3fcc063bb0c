"""The API for a team's handler functions."""
