"""The host: reads a ticket, runs the model's tool-use loop over MCP servers, and answers for every call."""
