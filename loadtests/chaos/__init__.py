"""`make chaos`: fault injection under load, one fault at a time and in pairs."""
