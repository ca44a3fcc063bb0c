"""Counters for Prometheus; one place, so that names and labels agree."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

MESSAGES = Counter("sms_router_messages_total", "Webhook requests answered, by outcome.", ["outcome"])
REFUSED = Counter("sms_router_refused_total", "Webhook requests refused, by reason.", ["reason"])
UNSIGNED = Counter(
    "sms_router_would_refuse_total", 'Requests that signature = "warn" let through, by reason.', ["reason"]
)
SECONDS = Histogram(
    "sms_router_answer_seconds",
    "From a webhook's arrival to its answer.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 8, 15),
)
RECEIPTS = Counter(
    "sms_router_receipts_total", "Status callbacks, by status and error code.", ["status", "code"]
)
STORE_UP = Gauge("sms_router_store_up", "1 while Redis serves.", multiprocess_mode="min")
SPOOLED = Gauge("sms_router_spooled_entries", "Journal entries that wait on disk.", multiprocess_mode="sum")
SPOOL_LOST = Gauge("sms_router_spool_lost_entries", "Journal entries lost.", multiprocess_mode="sum")
POOL_AGE = Gauge("sms_router_pool_age_seconds", "Age of a pool.", ["service"], multiprocess_mode="max")
POOL_SIZE = Gauge("sms_router_pool_senders", "Senders of a pool.", ["service"], multiprocess_mode="max")
