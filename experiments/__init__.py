"""Long training runs and measurements, each made again by one command; results lie in data/."""
