"""`make bench`: CPU, throughput, latency and memory of the router, beside other stacks."""
