"""`unstuck mcp`: the tools of this package for a coding agent, over the Model Context Protocol (docs/mcp.md)."""
