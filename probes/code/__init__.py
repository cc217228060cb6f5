"""Files that can run: pickles, scripts, executables, archives and links, under any name and inside each other."""
