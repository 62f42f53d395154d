"""The transport ``smtp_basic``: any SMTP server, with a password."""
