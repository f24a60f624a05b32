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
    "rights_review": {
        "fr": "Faire revoir par une personne ce qui a été choisi pour moi",
        "en": "Have a person look at what was chosen for me",
    },
    "profile": {"fr": "Profilage", "en": "Profiling"},
    "profile_is_on": {
        "fr": "De vos lectures et de vos achats, {workspace} peut déduire ce qui vous intéresse et à quel rythme. Cela "
        "choisit ce que vous voyez, jamais un prix ni un refus.",
        "en": "From your reading and buying, {workspace} may work out what interests you and how often. It chooses "
        "what you are shown, never a price nor a refusal.",
    },
    "profile_is_off": {
        "fr": "Rien n’est déduit de vos lectures ni de vos achats. Vous recevez toujours ce que vous avez choisi.",
        "en": "Nothing is worked out from your reading or buying. You still get what you chose.",
    },
    "profile_refuse": {"fr": "M’opposer au profilage", "en": "Object to profiling"},
    "profile_allow": {"fr": "Accepter de nouveau", "en": "Allow it again"},
    "profile_ended": {
        "fr": "C’est noté : rien n’est plus déduit de vous, dès maintenant. Cela ne change pas les messages que vous "
        "recevez.",
        "en": "Noted: nothing is worked out about you any more, from now on. The messages you get stay the same.",
    },
    "profile_again": {
        "fr": "C’est noté : ce qui vous intéresse peut de nouveau être déduit de vos lectures.",
        "en": "Noted: what interests you may again be worked out from your reading.",
    },
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
    "rights_whence": {
        "fr": "{workspace} a votre adresse depuis le {day}, par : {label}.",
        "en": "{workspace} has had your address since {day}, by: {label}.",
    },
    "rights_whence_herself": {
        "fr": "Vous avez donné votre adresse vous-même, le {day} : {label}.",
        "en": "You gave your address yourself, on {day}: {label}.",
    },
    "rights_whence_other": {
        "fr": "{workspace} a votre adresse depuis le {day} : {giver} l’a donnée.",
        "en": "{workspace} has had your address since {day}: {giver} gave it.",
    },
    "rights_whence_file": {
        "fr": "{workspace} a votre adresse depuis le {day}, par le fichier « {label} ».",
        "en": "{workspace} has had your address since {day}, by the file “{label}”.",
    },
    "rights_whence_program": {
        "fr": "{workspace} a votre adresse depuis le {day}, par son programme « {label} ».",
        "en": "{workspace} has had your address since {day}, by its program “{label}”.",
    },
    "rights_whence_message": {
        "fr": "{workspace} a votre adresse depuis le {day}, quand son programme « {label} » vous a écrit.",
        "en": "{workspace} has had your address since {day}, when its program “{label}” wrote to you.",
    },
    "rights_whence_unknown": {
        "fr": "D’où vient votre adresse n’a pas été noté.",
        "en": "Where your address came from was not written down.",
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
    "after": {"fr": "Après mon décès", "en": "After my death"},
    "after_intro": {
        "fr": "Ce que {workspace} fera alors de vos données (loi Informatique et Libertés, article 85). Sans "
        "indication, elles ne servent plus à rien.",
        "en": "What {workspace} will then do with your data (French law 78-17, article 85). If you say nothing, they "
        "are used for nothing any more.",
    },
    "after_wish": {"fr": "Ma volonté", "en": "My wish"},
    "after_none": {"fr": "Je n’indique rien", "en": "I say nothing"},
    "after_erase": {"fr": "Les effacer", "en": "Erase them"},
    "after_keep": {"fr": "Les garder sans les utiliser", "en": "Keep them without using them"},
    "after_hand": {"fr": "Les remettre à une personne", "en": "Hand them to somebody"},
    "after_person": {
        "fr": "À qui les remettre, et comment joindre cette personne",
        "en": "To whom they are handed, and how to reach that person",
    },
    "after_save": {"fr": "Noter ma volonté", "en": "Write down my wish"},
    "after_saved": {
        "fr": "C’est noté. Un courriel vous le confirme ; vous pouvez changer d’avis ici à tout moment.",
        "en": "Written down. A mail confirms it to you; you can change your mind here at any time.",
    },
    "after_needed": {
        "fr": "Dites à qui remettre vos données, et comment joindre cette personne.",
        "en": "Say to whom your data are handed, and how to reach that person.",
    },
    "after_mail_subject": {"fr": "Vos données après votre décès", "en": "Your data after your death"},
    "after_mail": {
        "fr": "Bonjour,\n\nVoici ce qui est noté pour vos données après votre décès : {wish}. {person}\n\nSi cela ne "
        "vient pas de vous, changez-le sur la page « Mes préférences », liée dans chaque message.\n\n{workspace}\n",
        "en": "Hello,\n\nThis is what is written down for your data after your death: {wish}. {person}\n\nIf it is not "
        "from you, change it on the page of your preferences, which every message links to.\n\n{workspace}\n",
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
