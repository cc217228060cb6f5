"""Does the adapted model refuse what the base refuses, and answer what the base answers?"""
