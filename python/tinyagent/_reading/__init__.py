"""What people read in a log: public messages, facts, costs, and the log that is still written."""
