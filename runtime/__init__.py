"""How actors run. Knows that there are events, not which ones."""
