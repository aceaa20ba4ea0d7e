"""The built-in customer records: accounts, invoices and sessions, as an MCP server."""
