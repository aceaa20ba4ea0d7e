"""The built-in helpdesk as MCP servers; they never import `agent` and are never imported by it."""
