-- Journals a new message that was stored.
redis.call('PEXPIRE', message, retention_ms)
redis.call('XADD', journal, 'MINID', '~', now - retention_ms, '*', 'message', reference)
redis.call('PEXPIRE', journal, retention_ms)
