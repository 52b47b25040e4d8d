"""Judge answers of a film graph by lists of well-known films, written down by a person.

    python benchmarks/films.py FOLDER             # a folder that `naiad movies load` can read
    python benchmarks/films.py --store films/     # a store with embeddings

Prints a line per film: how many of its first 10 answers are among the films that a person would
name; and a line per description: the rank of the film that it describes. Then, against a bias to
well-known films, 300 films drawn at random are each sought by five words of their overview. The
weights are round numbers from a coarse grid, chosen with all of this in view: no list was held out.
Embedding 9,000 films takes some minutes.
"""

from __future__ import annotations

import argparse
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np

from naiad.applications.movies.catalogue import Catalogue
from naiad.applications.movies.graph import ENCODER, VECTOR, description, movie_schema
from naiad.applications.movies.likeness import LIKENESSES, like
from naiad.applications.movies.reading import read_source
from naiad.applications.movies.search import search
from naiad.applications.store import Store, create_store, open_store
from naiad.applications.text.embedding.encoder import Encoder
from naiad.applications.text.embedding.importing import served_folder
from naiad.errors import InvalidInput

# fmt: off
LIKE: dict[str, tuple[str, ...]] = {
    "Amélie (2001)": (
        "A Very Long Engagement (2004)", "Delicatessen (1991)", "The City of Lost Children (1995)",
        "Micmacs (2009)", "Chocolat (2000)", "Love Me If You Dare (2003)", "Big Fish (2003)",
        "The Science of Sleep (2006)", "Eternal Sunshine of the Spotless Mind (2004)",
        "Priceless (2006)", "Moulin Rouge! (2001)", "Midnight in Paris (2011)",
        "The Royal Tenenbaums (2001)", "Life Is Beautiful (1997)", "Run Lola Run (1998)",
    ),
    "Finding Nemo (2003)": (
        "Finding Dory (2016)", "Monsters, Inc. (2001)", "Toy Story (1995)", "Toy Story 2 (1999)",
        "A Bug's Life (1998)", "The Incredibles (2004)", "WALL·E (2008)", "Cars (2006)",
        "Ratatouille (2007)", "Shark Tale (2004)", "Up (2009)", "Shrek (2001)", "Ice Age (2002)",
        "The Little Mermaid (1989)", "The Lion King (1994)", "Inside Out (2015)",
    ),
    "Pulp Fiction (1994)": (
        "Reservoir Dogs (1992)", "Jackie Brown (1997)", "Kill Bill: Vol. 1 (2003)",
        "Kill Bill: Vol. 2 (2004)", "True Romance (1993)", "Fargo (1996)", "Snatch (2000)",
        "GoodFellas (1990)", "The Usual Suspects (1995)",
        "Lock, Stock and Two Smoking Barrels (1998)", "Trainspotting (1996)",
        "Inglourious Basterds (2009)", "From Dusk Till Dawn (1996)", "Fight Club (1999)",
        "Natural Born Killers (1994)", "Get Shorty (1995)", "Se7en (1995)",
        "Django Unchained (2012)", "Sin City (2005)", "Four Rooms (1995)",
    ),
    "The Matrix (1999)": (
        "The Matrix Reloaded (2003)", "The Matrix Revolutions (2003)", "eXistenZ (1999)",
        "Dark City (1998)", "The Thirteenth Floor (1999)", "Terminator 2: Judgment Day (1991)",
        "Inception (2010)", "Blade Runner (1982)", "Minority Report (2002)", "Total Recall (1990)",
        "V for Vendetta (2006)", "The Terminator (1984)", "Equilibrium (2002)", "Fight Club (1999)",
        "Tron (1982)", "The Animatrix (2003)", "Johnny Mnemonic (1995)",
    ),
    "The Godfather (1972)": (
        "The Godfather: Part II (1974)", "The Godfather: Part III (1990)", "GoodFellas (1990)",
        "Casino (1995)", "Scarface (1983)", "Once Upon a Time in America (1984)",
        "Donnie Brasco (1997)", "Carlito's Way (1993)", "The Untouchables (1987)",
        "A Bronx Tale (1993)", "Mean Streets (1973)", "Miller's Crossing (1990)",
        "The Departed (2006)", "Road to Perdition (2002)", "American Gangster (2007)",
    ),
    "Toy Story (1995)": (
        "Toy Story 2 (1999)", "Toy Story 3 (2010)", "A Bug's Life (1998)", "Monsters, Inc. (2001)",
        "Finding Nemo (2003)", "The Incredibles (2004)", "Shrek (2001)", "Cars (2006)",
        "Antz (1998)", "Aladdin (1992)", "The Lion King (1994)", "WALL·E (2008)", "Up (2009)",
        "Ratatouille (2007)", "Babe (1995)", "Ice Age (2002)", "Chicken Run (2000)",
    ),
    "Jurassic Park (1993)": (
        "The Lost World: Jurassic Park (1997)", "Jurassic Park III (2001)", "Jurassic World (2015)",
        "King Kong (2005)", "Jaws (1975)", "Independence Day (1996)", "Westworld (1973)",
        "Men in Black (1997)", "Terminator 2: Judgment Day (1991)", "Congo (1995)",
        "Godzilla (1998)", "Raiders of the Lost Ark (1981)", "War of the Worlds (2005)",
        "E.T. the Extra-Terrestrial (1982)", "Jumanji (1995)",
    ),
    "Star Wars (1977)": (
        "The Empire Strikes Back (1980)", "Return of the Jedi (1983)",
        "Star Wars: Episode I - The Phantom Menace (1999)",
        "Star Wars: Episode II - Attack of the Clones (2002)",
        "Star Wars: Episode III - Revenge of the Sith (2005)",
        "Star Wars: The Force Awakens (2015)", "Star Wars: The Clone Wars (2008)",
        "Raiders of the Lost Ark (1981)", "Star Trek (2009)", "The Fifth Element (1997)",
        "The Lord of the Rings: The Fellowship of the Ring (2001)", "Serenity (2005)",
        "Indiana Jones and the Last Crusade (1989)",
    ),
    "Titanic (1997)": (
        "Romeo + Juliet (1996)", "Pearl Harbor (2001)", "Avatar (2009)", "The Notebook (2004)",
        "A Night to Remember (1958)", "Gone with the Wind (1939)", "Ghost (1990)",
        "The English Patient (1996)", "Atonement (2007)", "Poseidon (2006)", "The Abyss (1989)",
        "The Great Gatsby (2013)", "Shakespeare in Love (1998)", "Revolutionary Road (2008)",
        "Pretty Woman (1990)", "Sense and Sensibility (1995)", "City of Angels (1998)",
    ),
    "The Silence of the Lambs (1991)": (
        "Hannibal (2001)", "Red Dragon (2002)", "Manhunter (1986)", "Se7en (1995)",
        "Hannibal Rising (2007)", "Copycat (1995)", "Kiss the Girls (1997)", "Zodiac (2007)",
        "The Usual Suspects (1995)", "The Bone Collector (1999)", "American Psycho (2000)",
        "Psycho (1960)", "Cape Fear (1991)", "Misery (1990)", "Primal Fear (1996)",
        "The Sixth Sense (1999)", "Saw (2004)", "The Girl with the Dragon Tattoo (2011)",
    ),
    # The second half, in a summary.
    "Groundhog Day (1993)": (
        "Edge of Tomorrow (2014)", "Source Code (2011)", "Scrooged (1988)", "Ghostbusters (1984)",
        "What About Bob? (1991)", "Caddyshack (1980)", "Multiplicity (1996)", "Big (1988)",
        "50 First Dates (2004)", "About Time (2013)", "Stripes (1981)", "Liar Liar (1997)",
        "The Truman Show (1998)", "Bruce Almighty (2003)", "Click (2006)", "Analyze This (1999)",
        "When Harry Met Sally... (1989)", "Mrs. Doubtfire (1993)", "Sleepless in Seattle (1993)",
        "The Family Man (2000)", "As Good as It Gets (1997)", "Being John Malkovich (1999)",
    ),
    "Ocean's Eleven (2001)": (
        "Ocean's Twelve (2004)", "Ocean's Thirteen (2007)", "Ocean's Eleven (1960)",
        "The Italian Job (2003)", "The Italian Job (1969)", "The Sting (1973)", "Snatch (2000)",
        "Out of Sight (1998)", "Catch Me If You Can (2002)", "Inside Man (2006)", "21 (2008)",
        "The Thomas Crown Affair (1999)", "Heist (2001)", "The Score (2001)",
        "Matchstick Men (2003)", "Now You See Me (2013)", "The Bourne Identity (2002)",
        "Traffic (2000)",
    ),
    "Back to the Future (1985)": (
        "Back to the Future Part II (1989)", "Back to the Future Part III (1990)",
        "Bill & Ted's Excellent Adventure (1989)", "Peggy Sue Got Married (1986)",
        "Ghostbusters (1984)", "E.T. the Extra-Terrestrial (1982)", "The Terminator (1984)",
        "Raiders of the Lost Ark (1981)", "Ferris Bueller's Day Off (1986)", "Big (1988)",
        "Indiana Jones and the Last Crusade (1989)", "Who Framed Roger Rabbit (1988)",
        "Star Wars (1977)", "Return of the Jedi (1983)", "The Goonies (1985)", "WarGames (1983)",
    ),
    "Saving Private Ryan (1998)": (
        "The Thin Red Line (1998)", "Schindler's List (1993)", "Black Hawk Down (2001)",
        "Platoon (1986)", "Full Metal Jacket (1987)", "The Longest Day (1962)", "Fury (2014)",
        "Letters from Iwo Jima (2006)", "Flags of Our Fathers (2006)", "Apocalypse Now (1979)",
        "Enemy at the Gates (2001)", "We Were Soldiers (2002)", "Braveheart (1995)",
        "Patton (1970)", "The Big Red One (1980)", "Gladiator (2000)", "Band of Brothers (2001)",
        "Das Boot (1981)", "Inglourious Basterds (2009)", "The Dirty Dozen (1967)",
        "A Bridge Too Far (1977)",
    ),
    "Harry Potter and the Philosopher's Stone (2001)": (
        "Harry Potter and the Chamber of Secrets (2002)",
        "Harry Potter and the Prisoner of Azkaban (2004)",
        "Harry Potter and the Goblet of Fire (2005)",
        "Harry Potter and the Order of the Phoenix (2007)",
        "Harry Potter and the Half-Blood Prince (2009)",
        "Harry Potter and the Deathly Hallows: Part 1 (2010)",
        "Harry Potter and the Deathly Hallows: Part 2 (2011)",
        "The Lord of the Rings: The Fellowship of the Ring (2001)",
        "The Chronicles of Narnia: The Lion, the Witch and the Wardrobe (2005)",
        "Percy Jackson & the Olympians: The Lightning Thief (2010)", "The Golden Compass (2007)",
    ),
    "The Lion King (1994)": (
        "Aladdin (1992)", "Beauty and the Beast (1991)", "The Little Mermaid (1989)",
        "The Jungle Book (1967)", "Bambi (1942)", "Tarzan (1999)", "Pocahontas (1995)",
        "Toy Story (1995)", "Hercules (1997)", "Mulan (1998)", "Finding Nemo (2003)",
        "The Lion King 2: Simba's Pride (1998)", "The Hunchback of Notre Dame (1996)",
        "Lady and the Tramp (1955)", "Dumbo (1941)", "Snow White and the Seven Dwarfs (1937)",
        "Madagascar (2005)", "Brother Bear (2003)",
    ),
    "Alien (1979)": (
        "Aliens (1986)", "Alien³ (1992)", "Alien: Resurrection (1997)", "Prometheus (2012)",
        "The Thing (1982)", "Predator (1987)", "Blade Runner (1982)",
        "AVP: Alien vs. Predator (2004)", "Event Horizon (1997)", "The Terminator (1984)",
        "Sphere (1998)", "Species (1995)", "Invasion of the Body Snatchers (1978)",
        "2001: A Space Odyssey (1968)", "Sunshine (2007)", "Terminator 2: Judgment Day (1991)",
        "Pitch Black (2000)", "The Fly (1986)", "Jaws (1975)",
    ),
    "When Harry Met Sally... (1989)": (
        "Sleepless in Seattle (1993)", "You've Got Mail (1998)", "Annie Hall (1977)",
        "Four Weddings and a Funeral (1994)", "Pretty Woman (1990)", "Notting Hill (1999)",
        "Jerry Maguire (1996)", "French Kiss (1995)", "My Best Friend's Wedding (1997)",
        "As Good as It Gets (1997)", "Love Actually (2003)", "The Wedding Singer (1998)",
        "Ghost (1990)", "Manhattan (1979)", "Moonstruck (1987)", "Tootsie (1982)",
        "While You Were Sleeping (1995)", "Groundhog Day (1993)", "Dirty Dancing (1987)",
    ),
    "Spirited Away (2001)": (
        "Princess Mononoke (1997)", "My Neighbor Totoro (1988)", "Howl's Moving Castle (2004)",
        "Castle in the Sky (1986)", "Kiki's Delivery Service (1989)", "Ponyo (2008)",
        "Nausicaä of the Valley of the Wind (1984)", "Grave of the Fireflies (1988)",
        "Akira (1988)", "The Wind Rises (2013)", "Ghost in the Shell (1995)",
        "The Secret World of Arrietty (2010)", "Coraline (2009)", "The Cat Returns (2002)",
        "Whisper of the Heart (1995)", "Porco Rosso (1992)", "Alice in Wonderland (1951)",
    ),
    "The Bourne Identity (2002)": (
        "The Bourne Supremacy (2004)", "The Bourne Ultimatum (2007)", "The Bourne Legacy (2012)",
        "Jason Bourne (2016)", "Casino Royale (2006)", "Mission: Impossible (1996)", "Ronin (1998)",
        "Enemy of the State (1998)", "Minority Report (2002)", "Mission: Impossible III (2006)",
        "Taken (2008)", "Die Another Day (2002)", "Spy Game (2001)", "Salt (2010)",
        "Mission: Impossible II (2000)", "The Recruit (2003)", "xXx (2002)",
        "Ocean's Eleven (2001)",
    ),
}

DESCRIBED: tuple[tuple[str, str], ...] = (
    ("a weatherman has to live the same day again and again", "Groundhog Day (1993)"),
    ("man stuck in a time loop wakes up on the same morning", "Groundhog Day (1993)"),
    ("a gang of thieves robs three casinos in Las Vegas in one night", "Ocean's Eleven (2001)"),
    ("con man assembles a team to steal from a casino owner", "Ocean's Eleven (2001)"),
    ("a teenager travels back in time in a car and meets his parents", "Back to the Future (1985)"),
    ("kid goes to the fifties with a mad scientist's DeLorean", "Back to the Future (1985)"),
    ("soldiers look for the last of four brothers after D-Day", "Saving Private Ryan (1998)"),
    ("a squad is sent behind enemy lines to bring a private home", "Saving Private Ryan (1998)"),
    ("two lovers on a ship that hits an iceberg", "Titanic (1997)"),
    ("dinosaurs break loose in a theme park", "Jurassic Park (1993)"),
    ("a boy who sees dead people", "The Sixth Sense (1999)"),
    ("a clownfish searches the ocean for his son", "Finding Nemo (2003)"),
    ("toys that come to life when nobody is looking", "Toy Story (1995)"),
    ("a man without short-term memory hunts the killer of his wife", "Memento (2000)"),
    ("a hacker learns that the world is a computer simulation", "The Matrix (1999)"),
    ("thieves who break into people's dreams", "Inception (2010)"),
    ("a shark terrorizes a beach town", "Jaws (1975)"),
    ("a boy left alone at Christmas defends the house against burglars", "Home Alone (1990)"),
    ("fbi trainee asks a cannibal to help her catch a serial killer",
     "The Silence of the Lambs (1991)"),
    ("innocent banker in prison digs his way out", "The Shawshank Redemption (1994)"),
    # The second half.
    ("an orphan finds out that he is a wizard and goes to a school of magic",
     "Harry Potter and the Philosopher's Stone (2001)"),
    ("a rat who wants to become a chef in Paris", "Ratatouille (2007)"),
    ("a lonely robot cleans up the earth", "WALL·E (2008)"),
    ("a shy waitress in Paris secretly makes other people happy", "Amélie (2001)"),
    ("office worker starts a secret club where men fight each other", "Fight Club (1999)"),
    ("a lion cub whose uncle killed his father", "The Lion King (1994)"),
    ("an old man ties balloons to his house and flies away", "Up (2009)"),
    ("a boy hides an alien who wants to phone home", "E.T. the Extra-Terrestrial (1982)"),
    ("a bus with a bomb that must not slow down", "Speed (1994)"),
    ("a man whose whole life is a tv show and he does not know it", "The Truman Show (1998)"),
    ("hit men, a boxer and the wife of a gangster in Los Angeles", "Pulp Fiction (1994)"),
    ("man stranded on an island talks to a volleyball", "Cast Away (2000)"),
    ("robot from the future comes to kill the mother of a rebel leader", "The Terminator (1984)"),
    ("a hobbit has to destroy a ring",
     "The Lord of the Rings: The Fellowship of the Ring (2001)"),
    ("bill murray and scarlett johansson in a hotel in tokyo", "Lost in Translation (2003)"),
    ("tom hanks film about a slow-witted man who runs across america", "Forrest Gump (1994)"),
    ("girl swept by a tornado to a magical land follows a yellow road", "The Wizard of Oz (1939)"),
    ("archaeologist races the nazis for the ark of the covenant", "Raiders of the Lost Ark (1981)"),
    ("crew of a spaceship is killed one by one by a monster", "Alien (1979)"),
    ("german businessman saves jews from the holocaust", "Schindler's List (1993)"),
)
# fmt: on

K = 10


def embedded(store_place: str, source: Path, encoder: Encoder) -> None:
    """Load a graph and embed its films, in this process."""
    import pyarrow as pa

    tables = read_source(source)
    with create_store(store_place, movie_schema()) as writer:
        for _ in tables.write(writer):
            pass
        keys = writer.missing("Movie", VECTOR)
        films = [film for film in writer.get("Movie", keys) if film is not None]
        vectors = encoder.encode([description(film) for film in films])
        writer.set_vectors("Movie", VECTOR, keys, vectors)
        writer.load_nodes("About", pa.table({"id": [ENCODER], "text": [encoder.card.name]}))


def known(catalogue: Catalogue, names: frozenset[str]) -> set[str]:
    """Return the keys of those films that the graph has."""
    return {film for film in catalogue.films if catalogue.titles.name(film) in names}


def judge_likeness(catalogue: Catalogue, by: str) -> list[int]:
    """Print and return the number of expected films among the first 10, by film."""
    print(f"\n| like, by {by} | of 10 | |\n|---|---|---|")
    hits: list[int] = []
    for film, expected in LIKE.items():
        try:
            picks = like(catalogue, catalogue.find(film), K, by)
        except InvalidInput as error:  # such as a film without a director
            print(f"| {film} | - | {error} |")
            hits.append(0)
            continue
        wanted = known(catalogue, frozenset(expected))
        hits.append(sum(pick.id in wanted for pick in picks))
        print(f"| {film} | {hits[-1]} | {', '.join(pick.title for pick in picks)} |")
    return hits


def judge_search(catalogue: Catalogue, encoder: Encoder) -> list[int]:
    """Print and return the rank of each described film; 101 if it is not among the first 100."""
    print("\n| search | rank | of |\n|---|---|---|")
    ranks: list[int] = []
    for text, film in DESCRIBED:
        (vector,) = encoder.encode([text])
        found = [pick.id for pick in search(catalogue, text, vector, 100)]
        wanted = catalogue.find(film)
        ranks.append(found.index(wanted) + 1 if wanted in found else 101)
        print(f"| {text} | {ranks[-1] if ranks[-1] <= 100 else '-'} | {film} |")
    return ranks


def judge_random(catalogue: Catalogue, encoder: Encoder) -> list[int]:
    """Return the rank of films drawn at random, sought by five words of their overview."""
    rng = np.random.default_rng(0)
    films = catalogue.store.find("Movie", limit=1_000_000)
    films = [film for film in films if len((film["overview"] or "").split()) >= 25]
    chosen = [films[i] for i in rng.choice(len(films), min(300, len(films)), replace=False)]
    texts: list[str] = []
    for film in chosen:
        words = [word for word in re.findall(r"\w+", film["overview"].lower()) if len(word) > 3]
        texts.append(" ".join(words[i] for i in sorted(rng.choice(len(words), 5, replace=False))))
    ranks: list[int] = []
    for film, text, vector in zip(chosen, texts, encoder.encode(texts), strict=True):
        found = [pick.id for pick in search(catalogue, text, vector, 100)]
        ranks.append(found.index(film["id"]) + 1 if film["id"] in found else 101)
    return ranks


def halves(values: list[int]) -> tuple[list[int], list[int]]:
    return values[: len(values) // 2], values[len(values) // 2 :]


def milliseconds(catalogue: Catalogue, encoder: Encoder) -> None:
    """Print the median time of an answer, without the embedding of the text."""
    vectors = encoder.encode([text for text, _ in DESCRIBED])
    films = [catalogue.find(film) for film in LIKE]
    answers: dict[str, list[Callable[[], object]]] = {
        "similar": [partial(like, catalogue, film, K) for film in films],
        "search": [
            partial(search, catalogue, text, vector, K)
            for (text, _), vector in zip(DESCRIBED, vectors, strict=True)
        ],
    }
    for name, calls in answers.items():
        for clock, what in ((time.perf_counter, "elapsed"), (time.process_time, "CPU")):
            times: list[float] = []
            for call in calls:
                began = clock()
                call()
                times.append(1e3 * (clock() - began))
            print(f"{name}: {what} median {statistics.median(times):.1f} ms, most {max(times):.1f}")


def judge(store: Store, ways: Iterable[str]) -> None:
    catalogue, encoder = Catalogue(store), Encoder(served_folder(None))
    likeness = {by: judge_likeness(catalogue, by) for by in ways}
    ranks = judge_search(catalogue, encoder)
    print("\nfilms like a film: mean hits among the first 10, of the two halves of the list")
    for by, hits in likeness.items():
        print(f"  by {by:12}", *(f"{statistics.mean(half):5.1f}" for half in halves(hits)))
    print("search by description: share of films found at rank 1, 3, 10; mean reciprocal rank")
    drawn = judge_random(catalogue, encoder)
    parts = (*halves(ranks), drawn)
    for name, half in zip(("first half", "second half", "at random"), parts, strict=True):
        shares = (statistics.mean(rank <= most for rank in half) for most in (1, 3, 10))
        reciprocal = statistics.mean(1 / rank if rank <= 100 else 0 for rank in half)
        print(f"  {name:12}", *(f"{share:5.2f}" for share in shares), f"{reciprocal:7.3f}")
    milliseconds(catalogue, encoder)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", help="a folder of the film graph")
    parser.add_argument("--store", help="a store with embeddings, instead")
    parser.add_argument("--by", nargs="*", default=["all"], choices=LIKENESSES)
    arguments = parser.parse_args()
    if arguments.store is None and arguments.folder is None:
        parser.error("give a folder or --store")
    with tempfile.TemporaryDirectory(prefix="naiad-bench-") as scratch:
        place = arguments.store
        if place is None:
            place = str(Path(scratch) / "films")
            embedded(place, arguments.folder, Encoder(served_folder(None)))
        with open_store(place) as store:
            judge(store, arguments.by)


if __name__ == "__main__":
    main()
