"""Things are broken on purpose, one at a time and in pairs, while people text."""
