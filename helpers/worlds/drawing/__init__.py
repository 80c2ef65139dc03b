"""Tools to draw with, which know nothing of what is drawn."""
