"""Reading, replaying and erasing stored messages."""
