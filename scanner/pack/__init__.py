"""The evidence pack: one archive with everything a verdict rests on, which can be checked offline years later."""
