"""Who acts. Pure: ``agent``, ``schema`` and ``providers``; the others wait for the world."""
