"""The findings behind `sms-router check`."""
