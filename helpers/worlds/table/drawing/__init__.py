"""From a table to its picture."""
