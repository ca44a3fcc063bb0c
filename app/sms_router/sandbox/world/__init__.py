"""What sandbox.toml describes."""
