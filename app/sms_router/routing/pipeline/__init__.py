"""One inbound request from claim to committed answer, and answers that come later."""
