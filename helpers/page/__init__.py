"""What a reader sees on a page: figures, exercises, explorers, the check of the machine."""
