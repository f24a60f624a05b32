"""What the public pages say, in the two languages a contact may have. Plain words; each says what happens next."""

from __future__ import annotations

WORDS: dict[str, dict[str, str]] = {
    "unsubscribe": {"fr": "Me désinscrire", "en": "Unsubscribe"},
    "unsubscribe_question": {
        "fr": "Ne plus recevoir « {purpose} » à l’adresse {address} ?",
        "en": "No longer receive “{purpose}” at {address}?",
    },
    "unsubscribe_all_question": {
        "fr": "Ne plus recevoir de message commercial à l’adresse {address} ?",
        "en": "No longer receive marketing messages at {address}?",
    },
    "nothing_yet": {
        "fr": "Rien n’a changé pour l’instant : ce bouton décide.",
        "en": "Nothing has changed yet: this button decides.",
    },
    "unsubscribe_all": {
        "fr": "Ne plus rien recevoir de commercial",
        "en": "Stop all marketing messages",
    },
    "done": {"fr": "C’est fait.", "en": "Done."},
    "unsubscribed": {
        "fr": "Vous ne recevrez plus « {purpose} » à l’adresse {address}. Cela vaut dès maintenant : un message "
        "déjà parti peut encore arriver, aucun autre ne partira.",
        "en": "You will no longer receive “{purpose}” at {address}. This counts from now on: a message that has "
        "already left may still arrive, no other will leave.",
    },
    "unsubscribed_all": {
        "fr": "Vous ne recevrez plus aucun message commercial de {workspace} à l’adresse {address}. Cela vaut dès "
        "maintenant. Les messages nécessaires à vos commandes ou à votre compte restent possibles.",
        "en": "You will no longer receive any marketing message from {workspace} at {address}. This counts from now "
        "on. Messages needed for your orders or your account remain possible.",
    },
    "was_unsubscribed": {
        "fr": "Vous étiez déjà désinscrit : rien n’avait à changer.",
        "en": "You were unsubscribed already: nothing had to change.",
    },
    "undo_question": {"fr": "C’était une erreur ?", "en": "Was this a mistake?"},
    "undo": {"fr": "Me réinscrire", "en": "Subscribe again"},
    "resubscribed": {
        "fr": "Vous êtes de nouveau inscrit à « {purpose} ». Vous pouvez changer d’avis à tout moment.",
        "en": "You are subscribed to “{purpose}” again. You can change your mind at any time.",
    },
    "see_preferences": {
        "fr": "Choisir ce que je reçois",
        "en": "Choose what I receive",
    },
    "preferences": {"fr": "Mes préférences", "en": "My preferences"},
    "preferences_intro": {
        "fr": "Ce que {workspace} peut envoyer à {address}, et mesurer. Cochez ce que vous acceptez ; ce qui n’est "
        "pas coché ne vous sera pas envoyé.",
        "en": "What {workspace} may send to {address}, and measure. Tick what you accept; what is not ticked will "
        "not be sent to you.",
    },
    "messages": {"fr": "Messages", "en": "Messages"},
    "measuring": {"fr": "Mesure de mes réactions", "en": "Measuring my reactions"},
    "measuring_intro": {
        "fr": "Recevoir les messages ne dépend pas de cette mesure. Retirer votre accord vaut aussi pour les "
        "messages déjà reçus.",
        "en": "Receiving messages does not depend on this. Withdrawing also counts for messages you already have.",
    },
    "always": {"fr": "Toujours possible", "en": "Always possible"},
    "language": {"fr": "Langue", "en": "Language"},
    "save": {"fr": "Enregistrer mes choix", "en": "Save my choices"},
    "saved": {
        "fr": "Vos choix sont enregistrés et valent dès maintenant. Vous pouvez revenir ici par le lien de chaque "
        "message.",
        "en": "Your choices are saved and count from now on. You can come back here by the link in each message.",
    },
    "unchanged": {"fr": "Rien n’a changé.", "en": "Nothing has changed."},
    "stopped": {
        "fr": "Cette adresse ne reçoit plus rien pour une autre raison (messages rejetés, ou signalés comme "
        "indésirables). Écrivez à {workspace} pour en parler.",
        "en": "This address receives nothing any more for another reason (messages were rejected, or reported as "
        "unwanted). Write to {workspace} about it.",
    },
    "unknown_title": {"fr": "Ce lien ne mène nulle part", "en": "This link leads nowhere"},
    "unknown": {
        "fr": "Il a peut-être été coupé en deux, ou vient d’un aperçu. Rouvrez le message et suivez le lien depuis "
        "celui-ci, ou copiez-le en entier.",
        "en": "It may have been cut in two, or come from a preview. Open the message again and follow the link from "
        "there, or copy all of it.",
    },
    "forgotten": {
        "fr": "Nous n’avons plus de fiche à ce nom : il n’y a rien à régler. Vous pouvez tout de même refuser tout "
        "message commercial à cette adresse.",
        "en": "We have no record under this name any more: there is nothing to set. You can still refuse all "
        "marketing messages to this address.",
    },
    "no_web_version": {
        "fr": "Ce message ne peut plus être montré ici.",
        "en": "This message can no longer be shown here.",
    },
}


class Words:
    """``words.save`` in a template, ``words("unsubscribed", purpose=…)`` in a view."""

    do_not_call_in_templates = True

    def __init__(self, language: str, **facts: str) -> None:
        self.language = language
        self._facts = facts

    def __call__(self, name: str, **facts: str) -> str:
        return WORDS[name][self.language].format(**{**self._facts, **facts})

    def __getitem__(self, name: str) -> str:
        return self(name)
