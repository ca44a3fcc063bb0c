"""Where the pool of senders comes from."""
