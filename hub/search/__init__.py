"""Finding repositories: one interface over the text indexes of both databases."""
