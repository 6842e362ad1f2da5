"""Who is tested on what: every contender, and from one store to another."""
