"""What the public pages say about people's rights over their data, in both languages."""

from __future__ import annotations

RIGHTS: dict[str, dict[str, str]] = {
    "rights": {"fr": "Mes données", "en": "My data"},
    "rights_intro": {
        "fr": "{workspace} répond à votre demande dans le mois, sans frais. Vous recevez d’abord un courriel avec un "
        "lien : il prouve que l’adresse est la vôtre.",
        "en": "{workspace} answers your request within a month, free of charge. You first get a mail with a link: it "
        "proves that the address is yours.",
    },
    "rights_kind": {"fr": "Ce que je demande", "en": "What I ask for"},
    "rights_access": {"fr": "Voir mes données", "en": "See my data"},
    "rights_portability": {"fr": "Emporter mes données", "en": "Take my data with me"},
    "rights_rectification": {"fr": "Corriger mes données", "en": "Correct my data"},
    "rights_erasure": {"fr": "Effacer mes données", "en": "Erase my data"},
    "rights_restriction": {"fr": "Garder mes données sans les utiliser", "en": "Keep my data without using them"},
    "rights_objection": {"fr": "M’opposer à toute prospection", "en": "Object to all marketing"},
    "rights_words": {
        "fr": "Pour une correction : ce qui est faux, et ce qui est juste",
        "en": "For a correction: what is wrong, and what is right",
    },
    "rights_send": {"fr": "Envoyer ma demande", "en": "Send my request"},
    "rights_sent_title": {"fr": "Un courriel est en route", "en": "A mail is on its way"},
    "rights_sent": {
        "fr": "Ouvrez le lien du courriel que nous envoyons à l’adresse indiquée, dans les 7 jours. Rien n’est montré "
        "ni changé avant. S’il n’arrive pas, regardez parmi les indésirables.",
        "en": "Open the link in the mail that we send to the address, within 7 days. Nothing is shown or changed "
        "before. If it does not come, look among the unwanted mail.",
    },
    "rights_kind_needed": {"fr": "Choisissez ce que vous demandez.", "en": "Choose what you ask for."},
    "rights_words_needed": {
        "fr": "Dites ce qui est faux, et ce qui est juste.",
        "en": "Say what is wrong, and what is right.",
    },
    "rights_question": {
        "fr": "Est-ce bien votre demande : {kind} ?",
        "en": "Is this your request: {kind}?",
    },
    "rights_question_intro": {
        "fr": "Elle porte sur l’adresse {address}. Rien n’a changé pour l’instant : ce bouton décide.",
        "en": "It is about the address {address}. Nothing has changed yet: this button decides.",
    },
    "rights_erasure_means": {
        "fr": "Tout ce que {workspace} conserve sur vous sera effacé, sans retour possible. Une empreinte de l’adresse "
        "reste, pour que personne ne vous réinscrive.",
        "en": "Everything that {workspace} keeps about you will be erased, with no way back. A fingerprint of the "
        "address stays, so that nobody signs you up again.",
    },
    "rights_confirm": {"fr": "Oui, c’est ma demande", "en": "Yes, this is my request"},
    "rights_open": {
        "fr": "Votre demande est confirmée. {workspace} y répond avant le {due} ; la réponse sera lisible ici, par ce "
        "lien.",
        "en": "Your request is confirmed. {workspace} answers before {due}; the answer will stand here, under this "
        "link.",
    },
    "rights_nothing": {
        "fr": "{workspace} ne conserve rien sous cette adresse, exactement. Si vous avez écrit d’une autre adresse, "
        "refaites la demande avec elle.",
        "en": "{workspace} keeps nothing under exactly this address. If you used another address, ask again with it.",
    },
    "rights_ready": {
        "fr": "Vos données sont prêtes, en un fichier : une page à lire, des tableaux (CSV) et une forme pour les "
        "machines (JSON). Le lien vaut 7 jours.",
        "en": "Your data are ready, in one file: a page to read, tables (CSV) and a form for machines (JSON). The link "
        "is valid for 7 days.",
    },
    "rights_download": {"fr": "Télécharger mes données", "en": "Download my data"},
    "rights_erased": {
        "fr": "Vos données sont effacées. Référence de l’attestation : {reference}. Un message déjà parti peut encore "
        "arriver, aucun autre ne partira.",
        "en": "Your data are erased. Reference of the certificate: {reference}. A message that has already left may "
        "still arrive, no other will leave.",
    },
    "rights_restricted": {
        "fr": "Vos données sont gardées et ne servent plus : rien n’est envoyé, rien n’est mesuré. Vous serez prévenu "
        "avant que cela change.",
        "en": "Your data are kept and used no more: nothing is sent, nothing is measured. You will be told before this "
        "changes.",
    },
    "rights_objected": {
        "fr": "Vous ne recevrez plus aucune prospection de {workspace}, sous aucune forme.",
        "en": "You will get no marketing from {workspace} any more, in any form.",
    },
    "rights_answered": {"fr": "Réponse de {workspace} :", "en": "Answer of {workspace}:"},
    "rights_refused": {
        "fr": "{workspace} n’y donne pas suite, pour ces raisons :",
        "en": "{workspace} does not act on it, for these reasons:",
    },
    "rights_complain": {
        "fr": "Vous pouvez réclamer auprès de votre autorité de protection des données (en France : la CNIL), et aller "
        "en justice.",
        "en": "You may complain to your data protection authority (in France: the CNIL) and go to court.",
    },
    "rights_extended": {
        "fr": "La réponse demande plus de temps, jusqu’au {due}, pour cette raison :",
        "en": "The answer takes longer, until {due}, for this reason:",
    },
    "rights_here": {
        "fr": "Voir, emporter, corriger ou effacer ce que {workspace} conserve sur vous. Un message peut être transmis "
        "à quelqu’un d’autre : un lien part donc vers votre adresse, pour confirmer.",
        "en": "See, take along, correct or erase what {workspace} keeps about you. A message may be passed on to "
        "somebody else: so a link goes to your address, to confirm.",
    },
    "rights_at_once": {
        "fr": "Ceci vaut tout de suite, sans courriel :",
        "en": "This counts at once, without a mail:",
    },
    "pause": {"fr": "Faire une pause de 30 jours", "en": "Pause for 30 days"},
    "pause_end": {"fr": "Reprendre dès maintenant", "en": "Resume now"},
    "paused": {
        "fr": "Une pause court jusqu’au {until} : aucun message commercial ne part, puis tout reprend comme choisi "
        "ci-dessous.",
        "en": "A pause runs until {until}: no marketing leaves, then all resumes as chosen below.",
    },
    "pause_over": {"fr": "La pause est finie.", "en": "The pause is over."},
}
