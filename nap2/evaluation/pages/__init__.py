"""Tables and cards, made of rows."""
