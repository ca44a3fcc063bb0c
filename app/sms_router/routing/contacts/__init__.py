"""What is stored of a contact in a Service, and how status callbacks change it."""
