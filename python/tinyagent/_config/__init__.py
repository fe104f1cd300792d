"""How an agent is configured: its options and tools, and how what is given is looked at."""
