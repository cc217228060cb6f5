"""Does the adapter move the model where no refusal shows: groups, tone, deception, agreement, named parties?"""
