"""Environment + config/*.toml -> frozen Settings."""
