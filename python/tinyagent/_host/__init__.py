"""What a host gives an agent, callbacks, hooks, tools, a stream function: as answers to actors."""
