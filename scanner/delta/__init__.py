"""What an adapter changes in its base, whatever PEFT method it uses, as a few forms that every analysis reads."""
