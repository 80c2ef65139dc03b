"""Alt texts of the miniature web: the street world's own English, and short sentences in three other languages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from helpers.worlds.street.captions import AltText, alt_text, caption
from helpers.worlds.street.sample import sample_scene
from helpers.worlds.street.scene import Scene


@dataclass(frozen=True)
class Grammar:
    """How one language says "an old red truck on a wet street at night".

    Args:
        nouns: for each kind of vehicle its noun and its gender, a key of `articles`.
        colours: for each colour its form by gender, in the order of `articles`.
        ages: for each age its form by gender.
        articles: for each gender the indefinite article.
        thing: the order of article, age, colour and noun.
        weathers, skies: what is said of the road and of the sky.
        road: where the weather goes.
    """

    nouns: Mapping[str, tuple[str, str]]
    colours: Mapping[str, tuple[str, ...]]
    ages: Mapping[str, tuple[str, ...]]
    articles: Mapping[str, str]
    thing: str
    weathers: Mapping[str, str]
    skies: Mapping[str, str]
    road: str

    def sentence(self, scene: Scene) -> str:
        """A true sentence about the main vehicle of `scene`, the road and the sky."""
        vehicle = scene.main
        noun, gender = self.nouns[vehicle.kind]
        form = list(self.articles).index(gender)
        words = {"article": self.articles[gender], "noun": noun}
        for name, forms in (("colour", self.colours[vehicle.colour]), ("age", self.ages[vehicle.age])):
            words[name] = forms[min(form, len(forms) - 1)]
        return " ".join(
            (self.thing.format(**words), self.road.format(self.weathers[scene.weather]), self.skies[scene.sky])
        )


GRAMMARS = {
    "de": Grammar(
        nouns={
            "truck": ("Lastwagen", "m"),
            "car": ("Auto", "n"),
            "bus": ("Bus", "m"),
            "van": ("Lieferwagen", "m"),
            "taxi": ("Taxi", "n"),
            "fire engine": ("Feuerwehrauto", "n"),
            "bicycle": ("Fahrrad", "n"),
        },
        colours={
            "red": ("roter", "rotes"),
            "orange": ("orangefarbener", "orangefarbenes"),
            "yellow": ("gelber", "gelbes"),
            "green": ("grüner", "grünes"),
            "blue": ("blauer", "blaues"),
            "purple": ("violetter", "violettes"),
            "pink": ("rosafarbener", "rosafarbenes"),
            "white": ("weißer", "weißes"),
            "black": ("schwarzer", "schwarzes"),
        },
        ages={"modern": ("moderner", "modernes"), "vintage": ("alter", "altes")},
        articles={"m": "ein", "n": "ein"},
        thing="{article} {age} {colour} {noun}",
        weathers={"dry": "trockenen", "wet": "nassen", "snowy": "verschneiten"},
        skies={
            "day": "an einem klaren Tag",
            "dusk": "in der Abenddämmerung",
            "night": "bei Nacht",
            "overcast": "unter einem bewölkten Himmel",
        },
        road="auf einer {} Straße",
    ),
    "fr": Grammar(
        nouns={
            "truck": ("camion", "m"),
            "car": ("voiture", "f"),
            "bus": ("bus", "m"),
            "van": ("camionnette", "f"),
            "taxi": ("taxi", "m"),
            "fire engine": ("camion de pompiers", "m"),
            "bicycle": ("vélo", "m"),
        },
        colours={
            "red": ("rouge",),
            "orange": ("orange",),
            "yellow": ("jaune",),
            "green": ("vert", "verte"),
            "blue": ("bleu", "bleue"),
            "purple": ("violet", "violette"),
            "pink": ("rose",),
            "white": ("blanc", "blanche"),
            "black": ("noir", "noire"),
        },
        ages={"modern": ("moderne",), "vintage": ("ancien", "ancienne")},
        articles={"m": "un", "f": "une"},
        thing="{article} {noun} {colour} {age}",
        weathers={"dry": "sèche", "wet": "mouillée", "snowy": "enneigée"},
        skies={
            "day": "par temps clair",
            "dusk": "au crépuscule",
            "night": "pendant la nuit",
            "overcast": "sous un ciel couvert",
        },
        road="sur une route {}",
    ),
    "es": Grammar(
        nouns={
            "truck": ("camión", "m"),
            "car": ("coche", "m"),
            "bus": ("autobús", "m"),
            "van": ("furgoneta", "f"),
            "taxi": ("taxi", "m"),
            "fire engine": ("camión de bomberos", "m"),
            "bicycle": ("bicicleta", "f"),
        },
        colours={
            "red": ("rojo", "roja"),
            "orange": ("naranja",),
            "yellow": ("amarillo", "amarilla"),
            "green": ("verde",),
            "blue": ("azul",),
            "purple": ("morado", "morada"),
            "pink": ("rosa",),
            "white": ("blanco", "blanca"),
            "black": ("negro", "negra"),
        },
        ages={"modern": ("moderno", "moderna"), "vintage": ("antiguo", "antigua")},
        articles={"m": "un", "f": "una"},
        thing="{article} {noun} {colour} {age}",
        weathers={"dry": "seca", "wet": "mojada", "snowy": "nevada"},
        skies={
            "day": "en un día claro",
            "dusk": "al atardecer",
            "night": "durante la noche",
            "overcast": "bajo un cielo nublado",
        },
        road="en una calle {}",
    ),
}
LANGUAGES = ("en", *GRAMMARS)


def sentence(scene: Scene, language: str, rng: np.random.Generator) -> str:
    """A true sentence about `scene`. Raises ValueError for a language that is not one of LANGUAGES."""
    if language not in LANGUAGES:
        raise ValueError(f"language: {language!r} is not one of {', '.join(LANGUAGES)}")
    return caption(scene, rng, "everything") if language == "en" else GRAMMARS[language].sentence(scene)


def alt_of(scene: Scene, language: str, rng: np.random.Generator, noise: float) -> AltText:
    """The alt text of `scene` on a site in `language`, a share `noise` (0 to 1) of it bad; see `alt_text` for English.

    In the other languages a bad text is "wrong", "partial", "file name" or "empty".
    Raises ValueError for an unknown language or a `noise` out of range.
    """
    drawn = alt_text(scene, rng, noise)
    if language == "en":
        return drawn
    truth = sentence(scene, language, rng)
    if drawn.kind == "clean":
        return AltText(truth, truth, "clean")
    if drawn.kind in ("wrong", "advert"):
        # Another vehicle under another sky: nothing that the sentence says of its vehicle or sky is true here.
        other = sample_scene(rng)
        while other.main.kind == scene.main.kind or other.sky == scene.sky or other.weather == scene.weather:
            other = sample_scene(rng)
        return AltText(sentence(other, language, rng), truth, "wrong")
    if drawn.kind == "partial":
        words = truth.split()
        return AltText(" ".join(words[: 2 + int(rng.random() * (len(words) - 2))]), truth, "partial")
    return AltText(drawn.text, truth, drawn.kind)
