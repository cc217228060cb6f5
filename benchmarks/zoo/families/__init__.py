"""One attack family a module, each with its pairs."""
