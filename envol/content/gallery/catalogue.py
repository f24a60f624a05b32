# ruff: noqa: E501
"""Our nine models: what each is for, its places, and the words one starts from, in French and in English."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from envol.content.gallery.places import Both, Model, Place, Repeat

_TITLE = _("Title")
_TEXT = _("Text")
_PICTURE = _("Picture")
_BUTTON = _("Button")
_SIGNATURE = _("Signature")
_SMALL = _("Small print")

ASKING = "agree"
"""The model that asks for an agreement: what is made of it measures nobody."""

_HELLO = Both("Hello {first_name|and welcome},", "Bonjour {first_name|et bienvenue},")

MODELS: tuple[Model, ...] = (
    Model(
        "letter",
        _("Letter"),
        _("One idea, a few paragraphs, one thing to do."),
        (
            Place("title", "line", _TITLE, Both("What is new this month", "Les nouvelles du mois"), required=True),
            Place("picture", "picture", _PICTURE, more=Both("table", "table")),
            Place(
                "text",
                "text",
                _TEXT,
                Both(
                    "Hello {first_name|everyone},\n\nWrite one idea here, in a few short sentences. Say what it changes"
                    " for the person who reads.\n\nThen say what to do next: one thing is better than three.",
                    "Bonjour {first_name|à vous},\n\nÉcrivez ici une seule idée, en quelques phrases courtes. Dites ce"
                    " qu’elle change pour la personne qui lit.\n\nPuis dites quoi faire : une chose vaut mieux que trois.",
                ),
                required=True,
            ),
            Place("button", "button", _BUTTON, Both("Read more", "En savoir plus")),
            Place("signature", "line", _SIGNATURE, Both("The whole team", "Toute l’équipe")),
        ),
        Both("What is new this month", "Les nouvelles du mois"),
    ),
    Model(
        "newsletter",
        _("Newsletter"),
        _("An introduction and three articles; add or remove some."),
        (
            Place("title", "line", _TITLE, Both("The autumn letter", "La lettre d’automne"), required=True),
            Place(
                "text",
                "text",
                _("Introduction"),
                Both("Three things worth your time this month.", "Trois choses qui valent le détour ce mois-ci."),
            ),
            Repeat(
                "articles",
                _("Articles"),
                _("Article"),
                _("Add an article"),
                (
                    Place("title", "line", _TITLE, required=True),
                    Place("picture", "picture", _PICTURE, more=Both("window", "window")),
                    Place("text", "text", _TEXT),
                    Place("button", "button", _("Link")),
                ),
                (
                    {
                        "title": Both("The first article", "Le premier article"),
                        "text": Both(
                            "Two or three sentences that make one want to read the rest.",
                            "Deux ou trois phrases qui donnent envie de lire la suite.",
                        ),
                        "button": Both("Read the article", "Lire l’article"),
                    },
                    {
                        "title": Both("The second article", "Le deuxième article"),
                        "text": Both(
                            "Begin with what matters to the reader, not with yourself.",
                            "Commencez par ce qui compte pour la personne qui lit, non par vous.",
                        ),
                        "button": Both("See how", "Voir comment"),
                    },
                    {
                        "title": Both("The third article", "Le troisième article"),
                        "text": Both(
                            "A date, a place, a name: precise words are remembered.",
                            "Une date, un lieu, un nom : on retient ce qui est précis.",
                        ),
                        "button": Both("See the dates", "Voir les dates"),
                    },
                ),
            ),
            Place(
                "closing",
                "text",
                _("Last words"),
                Both(
                    "A question? Answer this message: a person reads it.",
                    "Une question ? Répondez à ce message : une personne le lit.",
                ),
            ),
        ),
        Both("The autumn letter: three things to read", "La lettre d’automne : trois choses à lire"),
        colour="#5b3a8c",
    ),
    Model(
        "product",
        _("Something new"),
        _("Present a product or a service: a picture, three good reasons, a button."),
        (
            Place("above", "line", _("Line above the title"), Both("NEW", "NOUVEAU")),
            Place("title", "line", _TITLE, Both("It is here at last", "Le voici enfin"), required=True),
            Place("picture", "picture", _PICTURE, more=Both("lamp", "lamp")),
            Place(
                "text",
                "text",
                _TEXT,
                Both(
                    "Say in two sentences what it is and whom it helps.",
                    "Dites en deux phrases ce que c’est et qui cela aide.",
                ),
                required=True,
            ),
            Repeat(
                "points",
                _("Good reasons"),
                _("Reason"),
                _("Add a reason"),
                (Place("title", "line", _TITLE, required=True), Place("text", "text", _TEXT)),
                (
                    {
                        "title": Both("What it does", "Ce qu’il fait"),
                        "text": Both("The benefit in one sentence.", "L’avantage, en une phrase."),
                    },
                    {
                        "title": Both("What it is made of", "De quoi il est fait"),
                        "text": Both("Where it comes from, how it is made.", "D’où il vient, comment il est fabriqué."),
                    },
                    {
                        "title": Both("How to get it", "Comment l’obtenir"),
                        "text": Both("Price, place, delay: nothing hidden.", "Prix, lieu, délai : rien de caché."),
                    },
                ),
            ),
            Place("button", "button", _BUTTON, Both("Discover it", "Le découvrir")),
        ),
        Both("It is here at last", "Le voici enfin"),
        colour="#a63c0a",
    ),
    Model(
        "invitation",
        _("Invitation"),
        _("An event: day, hours, place, and a button to say yes."),
        (
            Place("title", "line", _TITLE, Both("You are invited", "Vous êtes de la fête"), required=True),
            Place("picture", "picture", _PICTURE, more=Both("evening", "evening")),
            Place("day", "date", _("Day"), required=True),
            Place("hours", "line", _("Hours"), Both("From 7 to 9 p.m.", "De 19 h à 21 h")),
            Place(
                "where", "line", _("Place"), Both("The address of the event", "L’adresse de l’événement"), required=True
            ),
            Place(
                "text",
                "text",
                _TEXT,
                Both(
                    "Hello {first_name|everyone},\n\nSay what will happen, who will be there, and why one should come.",
                    "Bonjour {first_name|à vous},\n\nDites ce qui s’y passera, qui sera là, et pourquoi venir.",
                ),
                required=True,
            ),
            Place("button", "button", _BUTTON, Both("I will come", "Je viens")),
            Place("note", "line", _SMALL, Both("Free entry, limited seats.", "Entrée libre, places limitées.")),
        ),
        Both("You are invited", "Vous êtes de la fête"),
        colour="#8a2454",
    ),
    Model(
        "offer",
        _("Offer"),
        _("A reduction with a true end, its conditions in plain sight."),
        (
            Place("offer", "line", _("The offer, in a few signs"), Both("−20%", "−20 %"), required=True),
            Place(
                "title",
                "line",
                _TITLE,
                Both("On the whole autumn selection", "Sur toute la sélection d’automne"),
                required=True,
            ),
            Place("day", "date", _("Last day of the offer"), required=True),
            Place("picture", "picture", _PICTURE, more=Both("table", "table")),
            Place(
                "text",
                "text",
                _TEXT,
                Both("Say what is included, and how to have it.", "Dites ce qui est compris, et comment en profiter."),
            ),
            Place("code", "line", _("Code to give"), Both("", "")),
            Place("button", "button", _BUTTON, Both("See the selection", "Voir la sélection")),
            Place(
                "note",
                "line",
                _SMALL,
                Both(
                    "Within the limits of available stock; cannot be combined with another offer.",
                    "Dans la limite des stocks disponibles, non cumulable avec une autre offre.",
                ),
            ),
        ),
        Both("−20% on the autumn selection", "−20 % sur la sélection d’automne"),
        colour="#96211b",
    ),
    Model(
        "welcome",
        _("Welcome"),
        _("The first message after someone signed up: what comes, how often, where to begin."),
        (
            Place("title", "line", _TITLE, Both("Welcome", "Bienvenue"), required=True),
            Place("picture", "picture", _PICTURE, more=Both("window", "window")),
            Place(
                "text",
                "text",
                _TEXT,
                Both(
                    f"{_HELLO.en}\n\nThank you for joining us. You will get one letter a month, and nothing else.",
                    f"{_HELLO.fr}\n\nMerci de nous rejoindre. Vous recevrez une lettre par mois, et rien d’autre.",
                ),
                required=True,
            ),
            Repeat(
                "steps",
                _("Steps"),
                _("Step"),
                _("Add a step"),
                (Place("title", "line", _TITLE, required=True), Place("text", "text", _TEXT)),
                (
                    {
                        "title": Both("Look around", "Faites le tour"),
                        "text": Both("Where to begin, in one sentence.", "Par où commencer, en une phrase."),
                    },
                    {
                        "title": Both("Tell us what you like", "Dites ce que vous aimez"),
                        "text": Both("We only write about that.", "Nous n’écrirons que sur ces sujets."),
                    },
                    {
                        "title": Both("Answer us", "Répondez-nous"),
                        "text": Both("A person reads every message.", "Une personne lit chaque message."),
                    },
                ),
            ),
            Place("button", "button", _BUTTON, Both("Begin here", "Commencer ici")),
        ),
        Both("Welcome, {first_name|and thank you}", "Bienvenue, {first_name|et merci}"),
        colour="#1d5e3a",
    ),
    Model(
        "again",
        _("Still interested?"),
        _("For people who have not reacted for long: stay, choose, or leave, all as easy."),
        (
            Place(
                "title",
                "line",
                _TITLE,
                Both("Shall we keep writing to you?", "Voulez-vous encore de nos nouvelles ?"),
                required=True,
            ),
            Place("picture", "picture", _PICTURE, more=Both("evening", "evening")),
            Place(
                "text",
                "text",
                _TEXT,
                Both(
                    "Hello {first_name|everyone},\n\nYou have not opened our letters for a while, and that is fine. Tell"
                    " us what you would like: it takes one click.",
                    "Bonjour {first_name|à vous},\n\nVous n’avez pas ouvert nos lettres depuis un moment, et c’est bien"
                    " ainsi. Dites-nous ce que vous souhaitez : un clic suffit.",
                ),
                required=True,
            ),
            Place("button", "button", _BUTTON, Both("Yes, keep writing", "Oui, continuez")),
            Place(
                "choose",
                "line",
                _("Words of the link to the choices"),
                Both("Only what interests me", "Seulement ce qui m’intéresse"),
                required=True,
            ),
            Place(
                "leave",
                "line",
                _("Words of the link to leave"),
                Both("No, thank you: unsubscribe me", "Non merci, me désabonner"),
                required=True,
            ),
            Place("note", "line", _SMALL, Both("", "")),
        ),
        Both("Shall we keep writing to you?", "Voulez-vous encore de nos nouvelles ?"),
        colour="#2b4a9b",
    ),
    Model(
        "personal",
        _("Plain personal letter"),
        _("Like a message one writes to one person: no picture, no frame."),
        (
            Place(
                "text",
                "text",
                _TEXT,
                Both(
                    "Hello {first_name|there},\n\nI wanted to write to you myself. Say why in a few lines.\n\nAnswer this"
                    " message if you like: I will read it.",
                    "Bonjour {first_name|à vous},\n\nJe tenais à vous écrire. Dites pourquoi, en quelques lignes.\n\n"
                    "Répondez à ce message si vous le souhaitez : je le lirai.",
                ),
                required=True,
            ),
            Place("button", "button", _("Link"), Both("See the page", "Voir la page")),
            Place("signature", "line", _SIGNATURE, Both("Your first name", "Votre prénom")),
        ),
        Both("A word from me", "Un mot de ma part"),
    ),
    Model(
        ASKING,
        _("Ask for agreement"),
        _("Leads to each person's own choices, where both answers weigh the same. Nothing of it is measured."),
        (
            Place(
                "title",
                "line",
                _TITLE,
                Both("May we count what you read?", "Pouvons-nous compter ce que vous lisez ?"),
                required=True,
            ),
            Place(
                "text",
                "text",
                _TEXT,
                Both(
                    "Hello {first_name|everyone},\n\nWe would like to know which of our letters you open and which links"
                    " you follow, so as to write less often and better. We do it only if you agree.\n\nYou get our"
                    " letters whatever you answer, and can change your mind at any time. This message measures nothing.",
                    "Bonjour {first_name|à vous},\n\nNous aimerions savoir quelles lettres vous ouvrez et quels liens vous"
                    " suivez, pour écrire moins souvent et mieux. Nous ne le ferons que si vous l’acceptez.\n\nVous recevez"
                    " nos lettres quelle que soit votre réponse, et pouvez changer d’avis à tout moment. Ce message ne"
                    " mesure rien.",
                ),
                required=True,
            ),
            Place(
                "choose",
                "line",
                _("Words of the link to the choices"),
                Both("Say yes or no", "Dire oui ou non"),
                required=True,
            ),
            Place(
                "note",
                "line",
                _SMALL,
                Both("No answer counts as no.", "Sans réponse de votre part, c’est non."),
            ),
        ),
        Both("May we count what you read?", "Pouvons-nous compter ce que vous lisez ?"),
    ),
)
BY_KEY = {model.key: model for model in MODELS}
