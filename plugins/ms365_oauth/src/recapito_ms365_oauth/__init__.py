"""The transport ``ms365_oauth``: Microsoft 365 and Outlook.com."""
