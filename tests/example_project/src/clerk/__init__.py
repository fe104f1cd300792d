"""A clerk: looks bills up, pays them, says what was done."""
