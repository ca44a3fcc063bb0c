"""Sender selection: which number a reply is sent from. Pure, without I/O."""
