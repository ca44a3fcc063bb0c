"""The console: what operators and keyword owners see in a browser, and the few things they do there."""
