"""How a street scene is drawn. Start at `render`."""
