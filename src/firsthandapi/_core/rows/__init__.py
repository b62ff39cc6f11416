"""The rows of the manifest, and the files that are derived from them."""
