"""An agent at work: its session, the ways to run it, what may be set between, what is kept."""
