"""The transport ``gmail_oauth``: Gmail and Google Workspace."""
