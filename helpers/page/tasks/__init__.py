"""What the student writes in each notebook, a file a subject: what is right, and the mistakes that are named."""
