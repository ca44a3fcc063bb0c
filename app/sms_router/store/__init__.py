"""Redis or Valkey: connections, scripts, journal, spool."""
