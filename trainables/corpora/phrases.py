"""Text for synthesised speech: everyday words and phrases, and words that are easily taken for a wake word."""

from __future__ import annotations

import re

PHRASES = tuple(
    line.strip()
    for line in """
    yes; no; up; down; left; right; on; off; stop; go; zero; one; two; three; four; five; six; seven; eight; nine; ten
    backward; forward; follow; learn; visual; happy; house; marvin; sheila; wow; bed; bird; cat; dog; tree; morning
    turn the lights on; turn it off; play some music; what time is it; set a timer; call my mother; good morning
    how are you today; I do not know; see you tomorrow; open the window; close the door; more coffee please
    where are my keys; it is raining again; could you help me; thank you very much; never mind; let us go home
    the weather is nice; read me the news; a cup of tea; wait a moment; that is enough; who is there; come over here
    kitchen; garden; bathroom; telephone; television; holiday; number; question; answer; volume; louder; quieter
    quickly; slowly; tomorrow; yesterday; because; another; together; remember; different; important; possible
    beautiful; chocolate; banana; umbrella; elephant; potato; tomato; piano; radio; video; hospital; library
    Monday; Tuesday; Wednesday; Thursday; Friday; Saturday; Sunday; January; February; September; December
    mother; father; sister; brother; teacher; doctor; driver; winter; summer; paper; water; dinner; letter; matter
    I would like to order a pizza; the train leaves at seven; she put the book on the table; he ran down the street
    we had a lovely evening; nobody told me about it; can we talk about this later; the children are asleep
    put another log on the fire; there is milk in the fridge; my phone is out of battery; the meeting was cancelled
    are you coming with us; I will be there in ten minutes; do you want to watch a film; it was a long journey
    the cat sat by the window; please pass the salt; first turn left then right; add eggs to the shopping list
    what is the capital of Norway; how far is the moon; tell me a joke; next song; previous track; pause; resume
    increase the temperature; it is too cold in here; lock the front door; is the oven still on; start the dishwasher
    """.replace("\n", ";").split(";")
    if line.strip()
)

# Other words' near misses come from their phonemes alone.
SOUND_ALIKES = {
    "computer": (
        "commuter; compute; computing; competitor; composer; consumer; compassion; conductor",
        "complete; compete; compiler; commute; committee; container; community; pewter; contractor",
    ),
    "alexa": (
        "election; a lecture; elect her; alex; axel; electric; a letter; relax a bit; a lesson",
        "all extra; lecturer; elixir; a lexicon; I let her; unless a; collect her; Alaska; elects; an extra",
    ),
    "jarvis": (
        "service; harvest; jar of; carver; travis; jarred; java; jargon; starve us; chard is; drivers; garbage; canvas",
    ),
}


def sound_alikes(word: str) -> tuple[str, ...]:
    """Words and phrases that are easily taken for `word`; empty for words without a list."""
    return tuple(text.strip() for line in SOUND_ALIKES.get(word, ()) for text in line.split(";"))


def other_phrases(word: str) -> tuple[str, ...]:
    """The phrases in which `word` is not said."""
    said = re.compile(rf"\b{re.escape(word)}", re.IGNORECASE)
    return tuple(phrase for phrase in PHRASES if not said.search(phrase))
