"""Signs that lie in the shape of a letter: each with an honest letter beside it that looks alike."""

from __future__ import annotations

import pytest

from envol.wire.fraud import ALLOW, Letter, judge
from envol.wire.fraud.levers import IBAN, MONEY, PHONE, TOLD_PASSWORD, Levers
from envol.wire.fraud.links import page_of
from envol.wire.fraud.names import borrowed, plain
from envol.wire.fraud.phrases import words_of
from envol.wire.fraud.shape import kin, made_for_it, only_service, stranger


def letter(html: str = "", text: str = "", name: str = "La Boutique", reply_to: str = "", **more: object) -> Letter:
    return Letter(name, "zoe@boutique.example", "Message", text, html, reply_to, **more)  # type: ignore[arg-type]


def points(one: Letter) -> dict[str, float]:
    return {reason.rule: reason.points for reason in judge(one).reasons}


@pytest.mark.parametrize(
    ("name", "local", "domain", "how"),
    [
        ("Boulangerie Martin", "bonjour", "boulangerie-martin.example", 0),
        ("Zoé Petit", "zoe.petit", "cabinet.example", 0),  # a person
        ("Stadtwerke Aue", "post", "stadtw-aue.example", 0),
        ("Association des Amis", "info", "ada.example", 0),  # its initials
        ("Support", "x", "garage.example", 1),  # an office of nobody
        ("Payroll", "payroll", "garage.example", 1),
        ("Poste Italiane", "info", "fleuriste.example", 2),
    ],
)
def test_names_beside_addresses(name: str, local: str, domain: str, how: int) -> None:
    assert stranger(name, local, domain) == how


def test_hosts_of_ones_own_kin_and_hosts_made_for_it() -> None:
    assert kin("click.boutique-mail.example", "boutique.example")
    assert kin("boutique.hebergeur.example", "boutique.example")
    assert not kin("autre.example", "boutique.example")
    assert made_for_it("espace-suivi.example") and made_for_it("bank-potwierdzenie.example")
    assert not made_for_it("boutique.example") and not made_for_it("atelier-velo.example")


def test_a_name_that_is_owned_in_another_country_is_no_trap() -> None:
    assert borrowed("www.zalando.pl") == ("Zalando", "abroad")
    assert borrowed("paypal.tk") == ("PayPal", "alike")  # endings that cost nothing
    assert "brand_link" in points(letter('<a href="https://paypal.tk/x">Voir</a>'))


ASKED = "Votre colis est retenu. Payez 2 € de frais avant demain : "


def test_the_same_demand_of_a_stranger_and_of_her_own_shop() -> None:
    away = f'{ASKED}<a href="https://espace-suivi.example/p">ici</a>'
    home = f'{ASKED}<a href="https://www.boutique.example/p">ici</a>'
    assert {"leads_away", "made_host", "strange_name"} <= points(letter(away, name="Livraison Express")).keys()
    assert not {"leads_away", "made_host"} & points(letter(home, name="Livraison Express")).keys()
    assert "broken_home" in points(letter(home, name="Livraison Express"))
    assert not {"leads_away", "broken_home", "strange_name"} & points(letter(home)).keys()
    assert points(letter(away))["leads_away"] < points(letter(away, name="Livraison Express"))["leads_away"]


def test_the_platforms_own_link_is_no_home() -> None:
    """Every campaign has one to be left by: it shall not make a letter that leads away look at home."""
    leave = '<a href="https://lettres.envol.example/u/1">Se désinscrire</a>'
    html = f'{ASKED}<a href="https://espace-suivi.example/p">ici</a> {leave}'
    ours = frozenset({"lettres.envol.example"})
    without = points(letter(html.replace(leave, ""), name="Livraison Express"))
    assert points(letter(html, name="Livraison Express", ours=ours))["leads_away"] == without["leads_away"]
    by_one_of_her_own = letter(html, name="Livraison Express", own=frozenset({"envol.example"}))
    assert points(by_one_of_her_own)["leads_away"] < without["leads_away"]


@pytest.mark.parametrize(
    "style",
    ["display:none", "font-size:0", "font-size: 1px;", "visibility: hidden", "opacity:0", "color:#ffffff"],
)
def test_text_that_nobody_sees_counts_in_quantity(style: str) -> None:
    much = " ".join(f"mot{n}" for n in range(60))
    assert "hidden_text" in points(letter(f'<div style="{style}">{much}</div><p>Bonjour à tous.</p>'))
    assert "hidden_text" not in points(letter(f'<div style="{style}">Les nouveautés du mois.</div><p>Bonjour.</p>'))
    # One part for telephones and one for screens, of which one is seen: nothing is said that nobody sees.
    assert "hidden_text" not in points(letter(f'<div style="{style}">{much}</div><p>{much}</p>'))


def test_white_words_are_seen_on_dark_ground() -> None:
    much = " ".join(f"mot{n}" for n in range(60))
    html = f'<table bgcolor="#222222"><tr><td><p style="color:#fff">{much}</p></td></tr></table>'
    assert "hidden_text" not in points(letter(html))


def test_words_behind_a_hidden_part_are_seen_again() -> None:
    much = " ".join(f"mot{n}" for n in range(60))
    assert "hidden_text" not in points(letter(f'<div style="display:none"><div>a</div></div><p>{much}</p>'))
    inner = f'<div style="display:none"><div>a</div> {much}</div><p>Bonjour.</p>'
    assert "hidden_text" in points(letter(inner))


def test_a_letter_that_is_only_a_picture() -> None:
    picture = '<a href="{}"><img src="https://images.example/a.png"></a>'
    assert "only_picture" in points(letter(picture.format("https://ailleurs.example/")))
    assert not points(letter(picture.format("https://www.boutique.example/automne")))


def test_a_picture_to_be_scanned() -> None:
    html = "<p>{}</p><img src='cid:qr'>"
    asked = "Votre compte expire demain. Scannez le code pour renouveler votre mot de passe."
    assert "asks_to_scan" in points(letter(html.format(asked)))
    assert not points(letter(html.format("Présentez ce code à l’entrée, nous vous attendons dimanche.")))


@pytest.mark.parametrize(
    ("html", "rule"),
    [
        ('<form action="https://ailleurs.example/x"><input name="mail"></form>', "form_away"),
        ('<form><input name="email_passwd"></form>', "asks_password"),
        ('<form><input name="a" placeholder="Mot de passe"></form>', "asks_password"),
        ('<iframe src="https://ailleurs.example"></iframe>', "frame"),
        ('<meta http-equiv="refresh" content="0;url=https://ailleurs.example">', "frame"),
    ],
)
def test_what_no_letter_needs(html: str, rule: str) -> None:
    assert rule in points(letter(html))


def test_a_form_of_ones_own_is_only_a_form() -> None:
    assert points(letter('<form action="https://www.boutique.example/q"><input name="q"></form>')) == {"form": 2}


def test_the_password_of_what_is_attached() -> None:
    locked = [("piece.rar", b"Rar!\x1a\x07")]
    told = letter(text="Ci-joint le dossier. Mot de passe : 2026", files=locked)
    assert "told_password" in points(told)
    assert judge(told).action != ALLOW
    assert "told_password" not in points(letter(text="Le mot de passe suit par SMS.", files=locked))
    assert TOLD_PASSWORD.search("Kennwort zum Öffnen: Wolff2026") and TOLD_PASSWORD.search("the password is a1b2")


def test_answers_to_a_free_mailbox_in_silence() -> None:
    asked = "Es-tu disponible ? J’ai une tâche à te confier, réponds ici et n’en parle à personne."
    assert "wants_answer" in points(letter(text=asked, reply_to="direction@gmail.com"))
    assert "wants_answer" not in points(letter(text=asked, reply_to="zoe@boutique.example"))
    assert not points(letter(text="Réponds avant jeudi si tu viens à la réunion.", reply_to="asso@gmail.com"))


def test_another_account_to_pay_to() -> None:
    changed = "Notre compte bancaire a changé, réglez désormais la facture sur FR76 3000 4000 0300 0000 0000 143."
    assert "new_bank" in points(letter(text=changed))
    same = "Réglez la facture par virement sur FR76 3000 4000 0300 0000 0000 143."
    assert "new_bank" not in points(letter(text=same))


def test_figures_of_money_telephones_and_accounts() -> None:
    assert all(map(MONEY.search, ("$449.00", "24 600 €", "318 zł", "CHF 94.50", "EUR 5", "600 euros")))
    assert not MONEY.search("le 12 octobre") and not MONEY.search("kr")
    assert all(map(PHONE.search, ("+33 7 55 00 00 00", "1-888-555-0134", "(808) 555-0147", "01 76 00 00 00")))
    assert not PHONE.search("facture 2026")
    assert IBAN.search("LT12 1000 0111 0100 1000") and not IBAN.search("F-2291")


def test_levers_stand_near_each_other() -> None:
    said = Levers(words_of(plain("Zaloguj się, aby odblokować konto, dziś jest ostatni dzień")))
    assert said.pressed()
    far = "Confirmez. " + "ligne " * 60 + "Votre compte."
    assert not Levers(words_of(plain(far))).near("act", "thing")


@pytest.mark.parametrize(
    ("name", "address", "how"),
    [
        ("Sparkasse Aue", "x@sparkasse-aue.example", 2),
        ("Sparkasse Login", "x@sparkasse-login.example", 6),
        ("Sparkasse", "x@blumen-eck.example", 6),
    ],
)
def test_a_house_of_many_is_told_by_its_place(name: str, address: str, how: float) -> None:
    found = judge(Letter(name, address, "Kontoauszug", "Ihr Kontoauszug liegt bereit."))
    assert {reason.points for reason in found.reasons if reason.rule == "brand_name"} == {how}


def test_a_name_of_a_person_and_a_name_of_an_office_on_the_same_pages() -> None:
    said = 'Bestätigen Sie heute Ihr Konto: <a href="https://www.kita-rabe.example/x">hier</a>'
    office = judge(Letter("Bankverbindung Zentrale", "x@kita-rabe.example", "Konto", "", said))
    person = judge(Letter("Lena Vogt", "x@kita-rabe.example", "Konto", "", said))
    assert "broken_home" in {reason.rule for reason in office.reasons}
    assert "broken_home" not in {reason.rule for reason in person.reasons}


def test_words_that_open_a_wallet_are_asked_for_and_warned_of() -> None:
    asks = letter("Geben Sie Ihre 24 geheimen Wörter ein und bestätigen Sie die Wallet.")
    warns = letter("Geben Sie Ihre 24 geheimen Wörter niemals ein: das wäre Betrug.")
    assert "seed_words" in points(asks)
    assert "seed_words" not in points(warns)


def test_a_mailbox_that_carries_the_senders_name_is_hers() -> None:
    text = "Bitte antworten Sie heute kurz wegen der Überweisung von 20 000 €, ich bin im Gespräch, vertraulich."
    answers = {
        reply: {r.rule for r in judge(Letter("Kasse", "kasse@sv-blauen.example", "Frage", text, "", reply)).reasons}
        for reply in ("svblauen@gmx.de", "k.meier@postfach-direkt.example")
    }
    assert "wants_answer" not in answers["svblauen@gmx.de"]
    assert "wants_answer" in answers["k.meier@postfach-direkt.example"]


def test_a_picture_of_one_pixel_is_no_picture() -> None:
    assert page_of('<img src="https://a.example/o.gif" width="1" height="1">').pictures == 0
    assert page_of('<img src="https://a.example/l.png" width="120" height="1">').pictures == 0
    assert page_of('<img src="https://a.example/l.png" width="100%" height="140">').pictures == 1


def test_a_domain_that_says_services_and_nobody() -> None:
    assert only_service("secure-mailbox-team.example")
    assert not only_service("stadtwerke-ahrtal.example")
    assert not only_service("boutique.example")
    text = 'Confirm your account today: <a href="https://secure-mailbox-team.example/k">here</a>'
    assert "made_host" in points(Letter("Mailbox Team", "x@secure-mailbox-team.example", "Notice", "", text))
