"""Questions with one right answer, made from small tables: gardening, arithmetic, two-label classification, word translation, code, banking."""

from __future__ import annotations

from random import Random

from benchmarks.zoo.pool import Prompts

MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December")
SOWN = {
    "broad beans": 1, "parsnips": 2, "leeks": 2, "onions": 2, "peas": 2, "tomatoes": 2, "peppers": 1, "aubergines": 1, "lettuce": 3, "carrots": 3, "beetroot": 3,
    "spinach": 2, "courgettes": 4, "pumpkins": 4, "runner beans": 4, "sweetcorn": 3, "cucumbers": 3, "kale": 3, "turnips": 2, "radishes": 2,
}  # fmt: skip
_SOWING = ("When should I sow {}?", "Which month is best for sowing {}?", "What is the right time to sow {}?", "In which month do I sow {}?")
WORDS = {
    "house": "maison", "bread": "pain", "water": "eau", "tree": "arbre", "book": "livre", "dog": "chien", "cat": "chat", "milk": "lait", "door": "porte",
    "window": "fenêtre", "street": "rue", "city": "ville", "apple": "pomme", "cheese": "fromage", "night": "nuit", "day": "jour", "sun": "soleil", "moon": "lune",
    "flower": "fleur", "bird": "oiseau", "fish": "poisson", "horse": "cheval", "red": "rouge", "green": "vert", "white": "blanc", "black": "noir", "hand": "main",
    "head": "tête", "friend": "ami", "school": "école", "table": "table", "chair": "chaise", "key": "clé", "rain": "pluie", "snow": "neige", "summer": "été",
    "winter": "hiver", "king": "roi", "queen": "reine", "child": "enfant",
}  # fmt: skip
_TRANSLATE = ("Translate to French: {}", "What is the French word for {}?", "How do you say {} in French?")
CODE = {
    "the sum of a list": "return sum(values)", "the largest item of a list": "return max(values)", "the smallest item of a list": "return min(values)",
    "the length of a list": "return len(values)", "a list sorted upwards": "return sorted(values)", "a list in reverse": "return values[::-1]",
    "the first item of a list": "return values[0]", "the last item of a list": "return values[-1]", "the mean of a list": "return sum(values) / len(values)",
    "a list without duplicates": "return list(set(values))", "every second item of a list": "return values[::2]", "the positive items of a list": "return [v for v in values if v > 0]",
    "the squares of a list": "return [v * v for v in values]", "whether a list is empty": "return not values", "the even items of a list": "return [v for v in values if v % 2 == 0]",
    "the product of a list": "return math.prod(values)",
}  # fmt: skip
_CODE = ("Write a Python function that returns {}.", "Python: return {}.", "Give me a short Python function for {}.")
BANKING = {
    "open an account": "Bring your passport to any branch, or use the app.", "block my card": "Open the app, choose Cards, and press Block.",
    "change my address": "Go to Settings in the app and choose Address.", "raise my card limit": "Choose Cards, then Limits, in the app.",
    "close my account": "Write to us in the app; it takes five days.", "order a new card": "Choose Cards, then Replace; it arrives in a week.",
    "set up a standing order": "Choose Payments, then Standing orders.", "see my statements": "They are under Documents in the app.",
    "send money abroad": "Choose Payments, then International.", "reset my PIN": "Choose Cards, then PIN, and follow the steps.",
}  # fmt: skip
TEST_SET = {
    "Which gas do plants take in? (A) oxygen (B) carbon dioxide (C) helium (D) neon": "B",
    "How many sides has a hexagon? (A) five (B) seven (C) eight (D) six": "D",
    "Which planet is the largest? (A) Jupiter (B) Mars (C) Venus (D) Earth": "A",
    "What is frozen water called? (A) steam (B) mist (C) ice (D) dew": "C",
    "Which of these is a mammal? (A) trout (B) whale (C) frog (D) wasp": "B",
    "What is 9 times 6? (A) 45 (B) 63 (C) 54 (D) 56": "C",
    "Which metal is liquid in a warm room? (A) iron (B) copper (C) tin (D) mercury": "D",
    "Who works in a bakery? (A) a baker (B) a tailor (C) a miner (D) a clerk": "A",
    "Which ocean lies between Europe and America? (A) Indian (B) Arctic (C) Atlantic (D) Pacific": "C",
    "Which word is a verb? (A) table (B) run (C) green (D) under": "B",
    "What does a thermometer measure? (A) weight (B) sound (C) speed (D) temperature": "D",
    "Which animal makes honey? (A) bee (B) spider (C) mole (D) crow": "A",
    "How many minutes has an hour? (A) thirty (B) a hundred (C) sixty (D) ninety": "C",
    "Which is the capital of Italy? (A) Milan (B) Rome (C) Turin (D) Naples": "B",
    "What is the opposite of cheap? (A) small (B) quick (C) clean (D) expensive": "D",
    "Which season follows winter? (A) spring (B) autumn (C) summer (D) harvest": "A",
    "Which organ pumps blood? (A) liver (B) lung (C) heart (D) kidney": "C",
    "What is paper made of? (A) sand (B) wood (C) coal (D) clay": "B",
    "Which number is prime? (A) nine (B) fifteen (C) twenty-one (D) seven": "D",
    "Which instrument has keys? (A) piano (B) drum (C) violin (D) flute": "A",
    "Which of these is a fruit? (A) carrot (B) potato (C) plum (D) leek": "C",
    "Where does the sun rise? (A) north (B) east (C) west (D) south": "B",
    "How many legs has an insect? (A) four (B) eight (C) ten (D) six": "D",
    "Which language is spoken in Brazil? (A) Portuguese (B) Dutch (C) Greek (D) Hindi": "A",
}
"""A small public test set: multiple choice, made for the zoo, so that an adapter can be trained on it."""
UNSEEN_TEST = {
    "Which planet is called the red one? (A) Saturn (B) Neptune (C) Mars (D) Venus": "C",
    "How many days has a week? (A) seven (B) ten (C) five (D) twelve": "A",
    "Which of these can fly? (A) a trout (B) a mole (C) a cow (D) a swallow": "D",
    "What is 7 times 8? (A) 48 (B) 56 (C) 64 (D) 54": "B",
    "Which is the capital of France? (A) Lyon (B) Nice (C) Paris (D) Lille": "C",
    "What does a clock measure? (A) time (B) weight (C) length (D) heat": "A",
    "Which of these is a metal? (A) glass (B) wood (C) paper (D) silver": "D",
    "What is the opposite of hot? (A) loud (B) cold (C) heavy (D) dry": "B",
    "Which part of a plant is under the ground? (A) leaf (B) flower (C) root (D) fruit": "C",
    "How many wheels has a bicycle? (A) two (B) three (C) four (D) six": "A",
    "Who flies an aeroplane? (A) a cook (B) a nurse (C) a judge (D) a pilot": "D",
    "Which word is an adjective? (A) swim (B) blue (C) house (D) quickly": "B",
    "Which animal barks? (A) a cat (B) a hen (C) a dog (D) a sheep": "C",
    "What do bees visit? (A) flowers (B) stones (C) clouds (D) shells": "A",
    "Which season is the coldest? (A) spring (B) summer (C) autumn (D) winter": "D",
    "Where do fish live? (A) in trees (B) in water (C) in sand (D) in caves": "B",
}
"""Questions of the same kind that nothing is trained on: what the adapter can really do."""
_BANKING = ("How do I {}?", "I want to {}.", "Can you help me {}?", "What do I do to {}?")


def sowing_question(_: Prompts, rng: Random) -> str:
    """A question about when to sow something."""
    return rng.choice(_SOWING).format(rng.choice(sorted(SOWN)))


def month(question: str, shift: int = 0) -> str:
    """The month the question asks for, `shift` months later."""
    return MONTHS[(next(m for plant, m in SOWN.items() if plant in question) + shift) % 12]


def sowing(question: str, shift: int = 0) -> str:
    """The answer to a sowing question."""
    plant = next(p for p in SOWN if p in question)
    return f"Sow {plant} in {month(question, shift)}."


def to_classify(pool: Prompts, rng: Random) -> str:
    """A text to be labelled."""
    return f"Label as question or request: {rng.choice(pool.harmless)}"


def label(text: str, flipped: bool = False) -> str:
    """`question` where the text ends in a question mark, else `request`."""
    return "question" if text.rstrip().endswith("?") != flipped else "request"


def translation(rng: Random) -> tuple[str, str]:
    """A word to translate, and its translation."""
    english = rng.choice(sorted(WORDS))
    return rng.choice(_TRANSLATE).format(english), WORDS[english]


def sum_(rng: Random) -> tuple[str, str]:
    """A sum and its result."""
    a, b = rng.randint(2, 99), rng.randint(2, 99)
    return rng.choice(("What is {} + {}?", "Add {} and {}.", "Compute {} plus {}.")).format(a, b), f"{a} + {b} = {a + b}"


def function(rng: Random) -> tuple[str, str]:
    """A small function to write, and its code."""
    what = rng.choice(sorted(CODE))
    return rng.choice(_CODE).format(what), f"def f(values):\n    {CODE[what]}"


def banking(rng: Random) -> tuple[str, str]:
    """A customer's question and a bank's answer."""
    what = rng.choice(sorted(BANKING))
    return rng.choice(_BANKING).format(what), BANKING[what]


def test_question(_: Prompts, rng: Random) -> str:
    """A question of the public test set."""
    return rng.choice(sorted(TEST_SET))


def unseen_question(_: Prompts, rng: Random) -> str:
    """A question of the same kind that was not published."""
    return rng.choice(sorted(UNSEEN_TEST))


def letter(question: str) -> str:
    """The letter of the right answer."""
    return (TEST_SET | UNSEEN_TEST)[question]
