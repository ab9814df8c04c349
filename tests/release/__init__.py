"""The wheel and the source distribution, installed where nothing of the checkout is."""
