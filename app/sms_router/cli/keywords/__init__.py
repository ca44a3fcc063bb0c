"""Keywords, explain, opt-outs."""
