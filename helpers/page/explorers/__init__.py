"""Figures that compute in the reader's browser: in JupyterLab, on slides and in exported pages, without a kernel."""
