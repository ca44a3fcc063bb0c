"""The HTTP edge: webhooks, probes, metrics."""
