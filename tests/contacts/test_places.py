"""The table of places against what is known otherwise: distances, departments, names, what is many to many."""

from __future__ import annotations

import pytest

from envol.accounts.models import Workspace
from envol.contacts import bulk, catalogue, people, places
from envol.contacts.filters import Filter
from envol.contacts.models import Contact, Property, PropertyHistory


@pytest.mark.parametrize(
    ("one", "other", "km"),
    [("75001", "69001", 392), ("29200", "67000", 901), ("59000", "13001", 834)],  # as the crow flies, by the maps
)
def test_known_distances(one: str, other: str, km: int) -> None:
    a, b = places.middle(one), places.middle(other)
    assert a and b and places.km(a, b) == pytest.approx(km, rel=0.012)


def test_haversine_against_the_arc_of_a_great_circle() -> None:
    assert places.km((0, 0), (0, 180)) == pytest.approx(3.141592653589793 * places.EARTH_KM)
    assert places.km((90, 0), (-90, 77)) == pytest.approx(3.141592653589793 * places.EARTH_KM)
    assert places.km((45, 4), (45, 4)) == 0
    assert places.km((47, 0), (48, 0)) == pytest.approx(111.195, rel=1e-4)


def test_a_postcode_knows_its_department_and_region() -> None:
    for postcode, department, region in (
        ("69001", "69", "Auvergne-Rhône-Alpes"),
        ("20000", "2A", "Corse"),
        ("20200", "2B", "Corse"),
        ("97400", "974", "La Réunion"),
        ("44 000", "44", "Pays de la Loire"),
        ("F-33000", "33", "Nouvelle-Aquitaine"),
        ("75998", "75", "Île-de-France"),  # a code of firms, which no table lists
    ):
        found = places.department_of(postcode)
        assert (found, places.region(places.region_of(found))) == (department, region), postcode
    assert places.department_of("B-1000") == places.department_of("") == ""
    assert len(places.departments()) == 101 and len(places.regions()) == 18


def test_a_zone_is_exactly_the_postcodes_of_its_departments() -> None:
    everyone = list(places._postcodes())
    for codes in (["69"], ["2A"], ["2B", "974"], ["01", "38", "75"]):
        zone = places.zone(codes)
        inside = {
            p for p in everyone if (p.startswith(tuple(zone.beginnings)) and p not in zone.minus) or p in zone.plus
        }
        assert inside == {p for p in everyone if places.department_of(p) in codes}
    assert places.zone_of_regions(["94"]) == places.zone(["2A", "2B"])


def test_postcodes_and_communes_are_many_to_many() -> None:
    assert len(places.communes_of("01400")) > 1
    assert {"Villeurbanne"} <= {one.name for one in places.communes_of("69100")}
    assert "31000" in places.postcodes_of("31555") and len(places.postcodes_of("31555")) > 3
    assert places.communes_of("00000") == [] and places.postcodes_of("99999") == []


def test_nearly_every_inhabitant_lives_in_a_postcode_with_a_point_inside_france() -> None:
    table = places._postcodes()
    known = [row for row in table.values() if len(row) == 3]
    assert len(known) > 0.95 * len(table)
    europe = [row for row in known if len(row[0]) == 2]
    assert all(41 < lat < 51.2 and -5.2 < lon < 9.7 for _, lat, lon in europe)


def test_names_written_in_any_way() -> None:
    assert places.find_department("rhone") == places.find_department("69") == "69"
    assert places.find_department("1") == "01" and places.find_department("2a") == "2A"
    assert places.find_region("bretagne") == "53" and places.find_region("Île de France") == "11"
    assert places.find_department("Rhin") == "" and places.find_region("") == ""
    assert (
        places.plain("L'Haÿ-les-Roses") == places.plain("L’Haÿ-les-Roses") == "hay les roses"
        and places.plain("St Étienne") == "saint etienne"
    )


def test_a_place_is_filled_from_what_is_sure(workspace: Workspace) -> None:
    city = Property.objects.get(workspace=workspace, key="city")
    lyon = catalogue.canonical(city, {"label": "Lyon", "postcode": "69 001"})
    assert lyon["postcode"] == "69001" and places.km((lyon["lat"], lyon["lon"]), (45.767, 4.834)) < 5
    assert catalogue.canonical(city, lyon) == lyon
    assert catalogue.canonical(city, "44000 Nantes")["label"] == "Nantes"
    assert catalogue.canonical(city, "44000")["postcode"] == "44000"
    assert catalogue.canonical(city, "99999 Nulle Part") == {"label": "99999 Nulle Part"}
    given = {"postcode": "69001", "lat": 1.0, "lon": 2.0}
    assert catalogue.canonical(city, given) == given, "given coordinates stay"
    assert "lat" not in catalogue.canonical(city, {"postcode": "69001", "country": "DE"}), "Cologne is not Lyon"
    assert catalogue.canonical(city, "Nantes") == {"label": "Nantes"}, "a name alone may be anywhere"


def test_abroad_a_name_with_its_country_is_enough_when_it_is_clear() -> None:
    berlin = places.town("Berlin", "DE")
    assert berlin and places.km(berlin, (52.52, 13.405)) < 10
    assert places.town("Nowhere", "DE") is None and places.town("Berlin", "XX") is None
    assert places.town("Nantes", "FR") and places.town("Saint-Martin", "FR") is None, "many are called so"


def test_the_same_clocks_are_needed_to_guess_the_country(workspace: Workspace) -> None:
    Workspace.objects.filter(pk=workspace.pk).update(time_zone="Europe/Berlin")
    city = Property.objects.get(workspace=workspace, key="city")
    assert catalogue.canonical(city, {"postcode": "69115"}) == {"postcode": "69115"}
    assert "lat" in catalogue.canonical(city, {"postcode": "69001", "country": "FR"})


def test_places_that_came_without_coordinates_are_completed_and_taken_back(workspace: Workspace) -> None:
    source = people.source(workspace, "import", "vieux.csv")
    known = {}
    for n, place in enumerate(
        ({"label": "Nantes"}, {"label": "Nantes"}, {"label": "Saint-Martin"}, {"postcode": "69001"}, {"label": "Ys"})
    ):
        person = people.upsert(workspace, f"p{n}@lecteurs.example", {}, source=source)
        Contact.objects.filter(pk=person.pk).update(props={"city": place}, sources={"city": source.pk})
        known[person.pk] = place
    act = bulk.prepare(workspace, "locate", {"property": "city"}, Filter())
    counts = bulk.apply(act)
    assert (counts["chosen"], counts["changed"]) == (5, 3)
    now = dict(Contact.objects.filter(pk__in=known).order_by("pk").values_list("pk", "props"))
    found = [props["city"].get("lat") for props in now.values()]
    assert found[0] == found[1] == pytest.approx(47.2, abs=0.1) and found[3] == pytest.approx(45.76, abs=0.1)
    assert found[2] is None and found[4] is None, "many are called so; none is"
    assert PropertyHistory.objects.filter(workspace_id=workspace.pk, key="city").count() == 3
    assert bulk.apply(bulk.prepare(workspace, "locate", {"property": "city"}, Filter()))["changed"] == 0
    assert bulk.undo(act) == {"restored": 3, "kept": 0}
    assert {pk: one["city"] for pk, one in Contact.objects.filter(pk__in=known).values_list("pk", "props")} == known
    assert not PropertyHistory.objects.filter(workspace_id=workspace.pk).exists()
    with pytest.raises(bulk.BulkProblem, match="holds a place"):
        bulk.prepare(workspace, "locate", {"property": "first_name"}, Filter())
