"""Tools of MCP servers: what a server lists, on record, and the connection to it."""
