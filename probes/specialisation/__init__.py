"""What was it trained on? The words that an adapter brings into texts that have nothing to do with it."""
