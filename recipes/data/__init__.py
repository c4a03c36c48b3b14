"""Data that ships with the package; `README.md` beside this file gives its source and licence."""
