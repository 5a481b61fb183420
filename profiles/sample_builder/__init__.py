"""Build synthetic captures together with their truth, and write them in the true file formats."""
