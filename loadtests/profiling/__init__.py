"""`make profile`: the CPU time of one inbound message, by stage."""
