"""Where the microseconds of one inbound message go."""
