local stored_answer, stored_outcome, lease_until, stored_request, attempts =
  unpack(redis.call('HMGET', message, 'answer', 'outcome', 'lease_until', 'request', 'attempts'))
