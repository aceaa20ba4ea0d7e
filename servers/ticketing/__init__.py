"""The built-in helpdesk: tickets and the knowledge base, as an MCP server."""
