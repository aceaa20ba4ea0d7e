"""One connection to one MCP server: the way to it, its owner task, what it offers, and how it ends."""
