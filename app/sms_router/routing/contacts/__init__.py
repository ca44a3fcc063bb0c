"""What is known of a person in a Service, and how receipts change it."""
