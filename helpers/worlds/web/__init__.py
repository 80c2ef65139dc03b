"""A miniature web, generated: sites, pages, pictures with alt texts, an archive of it, and a server that plays it."""
