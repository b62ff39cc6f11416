"""The rows of the manifest, and what is made of them."""
