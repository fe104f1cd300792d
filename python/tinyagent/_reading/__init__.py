"""What people read in a log: messages, state, facts, costs, and a log that is being written."""
