"""What the lecture is about: one system a file, in the field's names."""
