"""The street world: scenes as facts, and pictures, captions, questions and labels drawn from them."""
