"""The command line: one module a noun, loaded when its command is called. It decides nothing about mail."""
