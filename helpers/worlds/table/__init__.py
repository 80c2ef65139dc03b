"""The table world: coloured blocks and bowls, a gripper that moves them, and all that may be said of them."""
