"""Numbers on their way in: short codes whose lease moves, numbers that are ported, and who is to act next."""
