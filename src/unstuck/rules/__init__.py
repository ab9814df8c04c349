"""The catalogue of illnesses: one module per fault, named after it. Found by walking; see rule.py for their form."""
