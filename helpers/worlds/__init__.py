"""What the models look at: worlds of pictures with exact words, photographs, and the tokenizer."""
