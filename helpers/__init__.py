"""What the notebooks share, one idea a file."""
