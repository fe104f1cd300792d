"""An agent at work: its session, the ways to run it, what it shows, what it keeps at rest."""
