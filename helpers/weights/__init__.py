"""The one door to weights: what ships in data/, and published weights from the libraries' caches."""
