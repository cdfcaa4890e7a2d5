"""A student as a file that others run: written, read back and compared, and used."""
