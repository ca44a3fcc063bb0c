"""Other applications that answer texts: called as Twilio would call them (design 9)."""
