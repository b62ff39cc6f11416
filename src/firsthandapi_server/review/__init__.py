"""A page on which a buyer looks at the files of a folder, and decides which ones to keep."""
