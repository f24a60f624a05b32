"""What the public pages say, in the two languages a contact may have. Plain words; each says what happens next."""

from __future__ import annotations

import re

from envol.web.public.words_rights import RIGHTS

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
    "moderation": {"fr": "Message à la liste", "en": "Message to the list"},
    "moderation_question": {
        "fr": "Laisser passer ce message à « {list} » ?",
        "en": "Let this message to “{list}” through?",
    },
    "post_unproven": {
        "fr": "Aucune signature ne prouve qui l’a écrit : n’importe qui peut écrire ce nom. S’il n’est pas de vous, "
        "refusez-le.",
        "en": "No signature proves who wrote it: anybody can write this name. If it is not yours, refuse it.",
    },
    "nothing_yet_two": {
        "fr": "Rien n’est parti pour l’instant : l’un de ces boutons décide.",
        "en": "Nothing has left yet: one of these buttons decides.",
    },
    "lists": {"fr": "Listes de diffusion", "en": "Mailing lists"},
    "lists_intro": {
        "fr": "Un message par jour les réunit tous ; il part le matin, s’il y en a.",
        "en": "One message a day holds them all; it leaves in the morning, if there are any.",
    },
    "lists_each": {"fr": "chaque message", "en": "each message"},
    "lists_daily": {"fr": "un message par jour", "en": "one message a day"},
    "archive_read": {"fr": "Lire ce qui a été écrit", "en": "Read what was written"},
    "archive_of": {"fr": "Messages de « {list} »", "en": "Messages of “{list}”"},
    "archive_search": {"fr": "Chercher des mots", "en": "Search for words"},
    "archive_find": {"fr": "Chercher", "en": "Search"},
    "archive_nothing": {"fr": "Aucun message ne contient ces mots.", "en": "No message has these words."},
    "archive_empty": {"fr": "Rien n’a encore été écrit ici.", "en": "Nothing was written here yet."},
    "archive_older": {"fr": "Messages plus anciens", "en": "Older messages"},
    "archive_first": {"fr": "Revenir au début", "en": "Back to the beginning"},
    "archive_mine": {
        "fr": "Vous avez écrit ce message. Vous pouvez le retirer des archives ; ceux qui l’ont reçu le gardent.",
        "en": "You wrote this message. You may take it out of the archive; those who received it keep it.",
    },
    "archive_remove": {"fr": "Retirer mon message", "en": "Take my message out"},
    "archive_removed": {
        "fr": "Votre message n’est plus dans les archives.",
        "en": "Your message is no longer in the archive.",
    },
    "archive_back": {"fr": "Revenir aux messages", "en": "Back to the messages"},
    "post_accept": {"fr": "Laisser passer", "en": "Let it through"},
    "post_refuse": {"fr": "Refuser", "en": "Refuse"},
    "post_why": {"fr": "Ou pourquoi le refuser", "en": "Or why to refuse it"},
    "post_why_help": {
        "fr": "Facultatif : son auteur le lit dans un courriel.",
        "en": "Optional: its author reads it in a mail.",
    },
    "post_accepted": {"fr": "Le message part maintenant.", "en": "The message leaves now."},
    "post_refused": {
        "fr": "Le message est refusé : personne ne le reçoit.",
        "en": "The message is refused: nobody gets it.",
    },
    "post_decided": {"fr": "Ce message a déjà été traité.", "en": "This message was decided upon already."},
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
        "fr": "C’était déjà le cas : rien n’avait à changer.",
        "en": "You were unsubscribed already: nothing had to change.",
    },
    "undo_question": {"fr": "C’était une erreur ?", "en": "Was this a mistake?"},
    "undo": {"fr": "Me réinscrire", "en": "Subscribe again"},
    "resubscribed": {
        "fr": "Votre inscription à « {purpose} » est rétablie. Vous pouvez changer d’avis à tout moment.",
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
    "often": {"fr": "À quelle fréquence, au plus ?", "en": "How often, at most?"},
    "often_any": {"fr": "À chaque nouvelle", "en": "Whenever there is news"},
    "often_weekly": {"fr": "Un message par semaine", "en": "One message a week"},
    "often_monthly": {"fr": "Un message par mois", "en": "One message a month"},
    "keep_until": {
        "fr": "Votre accord prend fin le {day}. Sans nouvelle de vous, rien ne sera plus envoyé ni mesuré à ce titre.",
        "en": "Your agreement ends on {day}. If we hear nothing from you, nothing more is sent or measured for it.",
    },
    "partners_since": {
        "fr": "Depuis votre accord ont été ajoutés\u202f: {names}. Sans votre accord, ils ne reçoivent rien sur vous.",
        "en": "Since you agreed, named in addition: {names}. They get nothing about you unless you agree.",
    },
    "partners_agree": {"fr": "J’accepte aussi ces partenaires", "en": "I agree to these too"},
    "keep": {"fr": "Garder mon accord", "en": "Keep my agreement"},
    "kept": {
        "fr": "Votre accord est prolongé. Vous pouvez le retirer à tout moment.",
        "en": "Your agreement goes on. You can take it back at any time.",
    },
    "topics": {"fr": "Ce qui m’intéresse", "en": "What I care for"},
    "topics_intro": {
        "fr": "Dites ce que vous aimez lire, et ce que vous ne voulez plus. Ce qui est déduit de vos lectures et de "
        "vos achats le dit, et s’efface d’un « non ».",
        "en": "Say what you like to read, and what you want no more of. What is inferred from your reading and buying "
        "says so, and a “no” takes it away.",
    },
    "topic_yes": {"fr": "Oui, cela m’intéresse", "en": "Yes, I care for it"},
    "topic_none": {"fr": "Sans réponse", "en": "No answer"},
    "topic_no": {"fr": "Non, cela ne m’intéresse pas", "en": "No, not for me"},
    "why_topic": {
        "fr": "Pourquoi je vois ceci : vous avez suivi ou acheté {reads} articles différents de ce sujet, sur {of}, le "
        "dernier le {last}. Cela s’efface avec le temps.",
        "en": "Why I see this: you followed or bought {reads} different articles of this topic, out of {of}, the last "
        "on {last}. It fades with time.",
    },
    "survey": {"fr": "Pourquoi lisez-vous si peu nos messages ?", "en": "Why do you read so few of our messages?"},
    "survey_intro": {
        "fr": "Une seule réponse suffit. Elle sert à vous écrire mieux, ou moins ; elle ne change rien à vos "
        "inscriptions.",
        "en": "One answer is enough. It helps us write better to you, or less; it changes none of your subscriptions.",
    },
    "survey_reason": {"fr": "La raison principale", "en": "The main reason"},
    "survey_content": {"fr": "Le contenu ne m’intéresse pas", "en": "The content is not relevant to me"},
    "survey_moment": {
        "fr": "Ce n’est pas le bon moment : je viens d’acheter, ou je n’en suis pas là",
        "en": "It is not the right moment: I have just bought, or am not there yet",
    },
    "survey_not_opening": {"fr": "Je n’ouvre pas ces messages", "en": "I do not open these messages"},
    "survey_too_many": {"fr": "Il y en a trop", "en": "There are too many of them"},
    "survey_competitor": {"fr": "Une autre maison m’a répondu avant", "en": "Somebody else was first"},
    "survey_money": {"fr": "J’ai moins d’argent à dépenser", "en": "I have less money to spend"},
    "survey_other": {"fr": "Une autre raison", "en": "Another reason"},
    "survey_words": {"fr": "Si c’est une autre raison, dites-la ici", "en": "If it is another reason, say it here"},
    "survey_send": {"fr": "Envoyer ma réponse", "en": "Send my answer"},
    "survey_done": {
        "fr": "Merci : votre réponse est notée. Vous pouvez la changer en répondant encore.",
        "en": "Thank you: your answer is noted. You can change it by answering again.",
    },
    "survey_needed": {"fr": "Choisissez une réponse.", "en": "Choose an answer."},
    "survey_left": {"fr": "Voulez-vous dire pourquoi ?", "en": "Would you say why?"},
    "always": {"fr": "Toujours possible", "en": "Always possible"},
    "language": {"fr": "Langue", "en": "Language"},
    "language_of_mail": {"fr": "Langue de mes messages", "en": "Language of my messages"},
    "all_question": {
        "fr": "Vous préférez ne plus rien recevoir de commercial, d’un coup ?",
        "en": "Would you rather receive no marketing at all, at once?",
    },
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
    "form_closed_title": {"fr": "Ce formulaire est fermé", "en": "This form is closed"},
    "form_closed": {
        "fr": "Les inscriptions ne sont pas ouvertes en ce moment. Écrivez à {workspace} si vous pensiez les trouver "
        "ici.",
        "en": "Sign-up is not open at the moment. Write to {workspace} if you expected it here.",
    },
    "email": {"fr": "Adresse électronique", "en": "E-mail address"},
    "email_help": {"fr": "Par exemple nom@domaine.fr", "en": "For example name@domain.org"},
    "optional": {"fr": "facultatif", "en": "optional"},
    "agree": {"fr": "Ce que j’accepte", "en": "What I agree to"},
    "agree_help": {
        "fr": "Rien n’est coché d’avance : cochez ce que vous voulez, et seulement cela.",
        "en": "Nothing is ticked in advance: tick what you want, and only that.",
    },
    "notice_title": {"fr": "Ce que nous faisons de vos données", "en": "What we do with your data"},
    "notice_more": {"fr": "Lire toute l’information sur mes données", "en": "Read all about my data"},
    "sign_up": {"fr": "M’inscrire", "en": "Sign up"},
    "then_confirm": {
        "fr": "Vous recevrez un courriel pour confirmer : rien d’autre ne part avant.",
        "en": "You will get a mail to confirm: nothing else leaves before.",
    },
    "yes": {"fr": "Oui", "en": "Yes"},
    "no": {"fr": "Non", "en": "No"},
    "choose": {"fr": "Choisir", "en": "Choose"},
    "wrong_title": {"fr": "Il reste quelque chose à corriger :", "en": "Something needs correcting:"},
    "email_needed": {"fr": "Écrivez votre adresse.", "en": "Write your address."},
    "email_wrong": {
        "fr": "Relisez cette adresse : elle doit ressembler à nom@domaine.fr.",
        "en": "Look at this address again: it should be like name@domain.org.",
    },
    "field_needed": {"fr": "Remplissez ce champ.", "en": "Fill in this field."},
    "field_wrong": {
        "fr": "Relisez cette réponse : elle ne convient pas ici.",
        "en": "Look at this answer again: it does not fit here.",
    },
    "date_wrong": {"fr": "Écrivez la date comme 31/12/1999.", "en": "Write the date as 31/12/1999."},
    "age_ask": {"fr": "Quel âge avez-vous ?", "en": "How old are you?"},
    "age_older": {"fr": "{age} ans ou plus", "en": "{age} or older"},
    "age_younger": {"fr": "moins de {age} ans", "en": "younger than {age}"},
    "age_needed": {
        "fr": "Dites quel âge vous avez : la loi le demande avant un accord en ligne.",
        "en": "Say how old you are: the law asks for it before an agreement on line.",
    },
    "age_young": {
        "fr": "À votre âge, la loi demande qu’un parent soit d’accord avec vous. Écrivez l’adresse d’un parent : son"
        " accord lui sera demandé. Sans elle, rien de ce que vous avez tapé n’est conservé.",
        "en": "At your age the law asks that a parent agrees with you. Write a parent’s address: the parent is asked."
        " Without it nothing of what you typed is kept.",
    },
    "parent": {
        "fr": "Adresse d’un parent, si vous avez moins de {age} ans",
        "en": "Address of a parent, if you are younger than {age}",
    },
    "parent_title": {"fr": "Encore un accord", "en": "One more agreement"},
    "parent_wrong": {
        "fr": "Cette adresse d’un parent n’est pas complète : écrivez-la comme nom@domaine.fr.",
        "en": "This address of a parent is not complete: write it like name@domain.org.",
    },
    "parent_same": {
        "fr": "Écrivez l’adresse d’un parent, et non la vôtre.",
        "en": "Write the address of a parent, not your own.",
    },
    "parent_intro": {
        "fr": "Êtes-vous d’accord pour que {workspace} envoie ceci à {address} ? Cette personne vous a nommé parent :",
        "en": "Do you agree that {workspace} sends this to {address}? Whoever reads it named you as a parent:",
    },
    "parent_agree": {"fr": "Je suis d’accord", "en": "I agree"},
    "parent_asked": {
        "fr": "C’est noté. Un message vient de partir vers votre parent : dès son accord, l’inscription est faite.",
        "en": "Noted. A message is on its way to your parent: with the agreement you are signed up.",
    },
    "parent_held": {
        "fr": "Trop de messages sont partis vers cette adresse. Revenez demain sur cette page.",
        "en": "Too many messages went to this address. Come back to this page tomorrow.",
    },
    "agree_needed": {
        "fr": "Cochez au moins un type de message : sans votre accord, rien ne peut vous être envoyé.",
        "en": "Tick at least one kind of message: without your agreement nothing may be sent to you.",
    },
    "too_fast": {
        "fr": "C’était très rapide. Relisez ce qui est écrit, puis appuyez encore une fois sur le bouton.",
        "en": "That was very quick. Look at what is written, then press the button once more.",
    },
    "stale": {
        "fr": "Cette page a changé depuis son ouverture. Relisez-la, puis appuyez encore une fois sur le bouton.",
        "en": "This page has changed since it was opened. Read it again, then press the button once more.",
    },
    "trap": {"fr": "Laissez ce champ vide", "en": "Leave this field empty"},
    "look_title": {"fr": "Regardez votre boîte de réception", "en": "Look into your inbox"},
    "look": {
        "fr": "Un courriel vient de partir vers l’adresse que vous avez écrite. Ouvrez-le et suivez son lien pour "
        "confirmer : sans cela, rien ne vous sera envoyé.",
        "en": "A mail has just left for the address you wrote. Open it and follow its link to confirm: without that, "
        "nothing will be sent to you.",
    },
    "look_missing": {
        "fr": "Rien n’arrive dans les dix minutes ? Regardez parmi les indésirables, et vérifiez l’adresse. Une même "
        "adresse reçoit au plus un courriel de ce genre par jour.",
        "en": "Nothing comes within ten minutes? Look among the junk, and check the address. One address gets at "
        "most one mail of this kind a day.",
    },
    "confirm_title": {"fr": "Confirmer mon inscription", "en": "Confirm my subscription"},
    "confirm_intro": {
        "fr": "{workspace} vous enverra ce que vous avez accepté, à l’adresse {address} :",
        "en": "{workspace} will send what you agreed to, to {address}:",
    },
    "confirm": {"fr": "Confirmer", "en": "Confirm"},
    "confirm_else": {
        "fr": "Ce n’était pas vous ? Fermez cette page : la demande s’effacera d’elle-même.",
        "en": "It was not you? Close this page: the request will be erased by itself.",
    },
    "confirmed_title": {"fr": "C’est confirmé", "en": "It is confirmed"},
    "confirmed_before": {
        "fr": "Vous aviez déjà confirmé : il n’y a plus rien à faire.",
        "en": "You had confirmed before: there is nothing more to do.",
    },
    "leave_any_time": {
        "fr": "Vous pouvez partir à tout moment, par le lien de chaque message ou dès maintenant ici :",
        "en": "You can leave at any time, by the link in every message or right now here:",
    },
    "over_title": {"fr": "Ce lien n’est plus valable", "en": "This link is no longer valid"},
    "over": {
        "fr": "Un lien de confirmation vaut 7 jours. Si vous aviez déjà confirmé, vous n’avez rien à faire. Sinon, "
        "inscrivez-vous encore une fois : un nouveau courriel partira.",
        "en": "A confirmation link is valid for 7 days. If you had confirmed before, there is nothing to do. If not, "
        "sign up once more: a new mail will leave.",
    },
    "ask_again": {"fr": "M’inscrire encore une fois", "en": "Sign up again"},
}


WORDS.update(RIGHTS)


def typeset(text: str) -> str:
    """French as it is printed: a narrow no-break space before ; : ! ? % and inside « »."""
    return re.sub(r"(?<=«)[ \u00a0]?|[ \u00a0](?=[;:!?%»])", "\u202f", text)


class Words:
    """``words.save`` in a template, ``words("unsubscribed", purpose=…)`` in a view."""

    do_not_call_in_templates = True

    def __init__(self, language: str, **facts: str) -> None:
        self.language = language
        self._facts = facts

    def __call__(self, name: str, **facts: str) -> str:
        text = WORDS[name][self.language]
        return (typeset(text) if self.language == "fr" else text).format(**{**self._facts, **facts})

    def __getitem__(self, name: str) -> str:
        return self(name)
