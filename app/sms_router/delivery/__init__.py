"""What leaves by REST: a durable outbox for late answers, replays and replies that are sent once more."""
