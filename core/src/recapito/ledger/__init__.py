"""What was sent: tables and transactions, no sending."""
