"""unstuck finds why a PyTorch network does not learn, proves the repair and writes the patch."""

__version__ = "0.1.0"
