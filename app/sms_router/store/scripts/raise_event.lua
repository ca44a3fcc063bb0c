-- Stores an event for the team's handlers, once for its entry.
local events = unpack(KEYS)
local event, event_request, event_retention_ms = unpack(ARGV)
--- @include "events"
raise_event(events, event, event_request, now, event_retention_ms)
return 1
