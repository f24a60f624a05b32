# ruff: noqa: E501 -- a row is read better on one line
"""Every row of the dialect, with the tests that show it: from their results comes docs/api/compatibility.md.

``make compatibility`` runs them and writes the page. A row with tests works, or differs where it says how; one without is
absent, which tests/api/test_compatibility.py verifies by calling it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).resolve().parents[2] / "docs" / "api" / "compatibility.md"


class Row(NamedTuple):
    """``call``: method and path below ``/v3/REST`` (or the whole path), asked where the row is absent."""

    part: str
    what: str
    tests: tuple[str, ...] = ()
    differs: str = ""
    call: str = ""


REST, FILL, OLD, SEND = "test_rest.py::", "test_filling.py::", "test_send_v3.py::", "test_sending.py::"
CF = "test_statistics.py::test_campaigns_by_the_filters_that_their_resources_share"
V31, HOOKS = "test_send_v31.py::", "test_webhooks.py::"
_CONTACT = (
    REST + "test_a_contact_as_it_is_told",
    REST + "test_changing_a_contact",
    REST + "test_names_and_paths_in_any_case",
)
_LISTS = (REST + "test_lists_and_who_is_on_them", REST + "test_a_list_of_ours_is_theirs")
_MANY = (REST + "test_many_at_once_are_a_job", "test_csv_import.py::test_a_job_of_many_names_whom_it_refused")
_FILTERS = tuple(
    f"test_contact_filters.py::{name}"
    for name in (
        "test_what_is_written_is_read_as_it_was",
        "test_what_we_say_in_the_dialect_means_the_same_here",
        "test_what_an_expression_means",
        "test_what_cannot_be_read_is_told_with_its_place",
        "test_a_segment_from_a_program_and_one_from_a_member",
    )
)
_CSV = (
    "test_csv_import.py::test_a_file_from_upload_to_the_list",
    "test_csv_import.py::test_what_each_method_makes_of_the_list",
    "test_csv_import.py::test_no_header_too_many_errors_and_what_is_no_file_of_people",
    "test_csv_import.py::test_what_is_wrong_is_said_and_other_workspaces_are_not_there",
)
_DATA = (REST + "test_properties_and_values",)
_CLIENTS = (SEND + "test_mailjets_own_client_sends_after_changing_its_address", SEND + "test_django_anymail_sends_after_changing_its_address")  # fmt: skip
_LANGUAGE = (FILL + "test_a_stored_template_says_what_the_message_does_not", FILL + "test_what_shows_the_recipient_is_a_message_of_its_own_for_each")  # fmt: skip
_WRONG = (FILL + "test_errors_are_told_to_whom_the_program_names_and_the_source_is_delivered_where_it_asks",)
_MESSAGE = (FILL + "test_whoever_is_written_to_becomes_a_contact_without_any_permission",)
_LATE_TEMPLATE = FILL + "test_a_template_in_error_is_blocked_later_where_an_owner_wants_it"
_PROBES = (FILL + "test_the_probes_of_plugins",)

_MEASURED = tuple(
    f"../edge/test_single_measuring.py::{name}"
    for name in (
        "test_each_copy_is_measured_as_far_as_its_recipient_allows",
        "test_nothing_is_measured_that_nobody_asked_for",
        "test_by_smtp_where_the_message_asks_for_it",
    )
)

GROUP = "test_groupings.py::"
_GROUPED = (GROUP + "test_a_word_of_a_program_is_a_campaign_with_figures",)
_BY_SMTP = tuple(
    f"../edge/test_submission.py::{name}"
    for name in (
        "test_values_are_filled_in_and_one_message_is_for_all_where_it_shows_nobody",
        "test_what_shows_its_recipient_is_a_message_for_each",
        "test_a_template_by_its_number_or_name_is_the_content",
    )
)

_WIRE = "test_recorded.py::"
_FIELDS = "test_payload_fields.py::test_each_event_has_its_fields_and_no_others"
_NEVER_LEFT = "test_payload_fields.py::test_what_never_leaves_is_told_as_blocked"
_PLACES = (V31 + "test_what_is_no_call", V31 + "test_what_is_wrong_is_named_with_its_place")

ROWS = (
    Row("Clients", "mailjet-rest (Python): v3 and v3.1", (SEND + "test_mailjets_own_client_sends_after_changing_its_address", SEND + "test_mailjets_own_client_keeps_contacts_and_lists")),
    Row("Clients", "node-mailjet: v3, v3.1 and v4", ("../peers/test_api_clients.py::test_node_mailjet_works_after_changing_its_address",)),
    Row("Clients", "django-anymail: its backend", (SEND + "test_django_anymail_sends_after_changing_its_address",)),
    Row("Clients", "django-anymail: its webhooks", (HOOKS + "test_every_event_as_the_dialect_tells_it", "test_parse_route.py::test_mail_for_a_program")),
    Row("Clients", "Symfony's mailer, and Laravel's by way of it (recorded)", (_WIRE + "test_symfonys_mailer",)),
    Row("Clients", "Laravel's older transports, and the vendor's wrapper around its PHP client (recorded)", (_WIRE + "test_laravels_older_transport_and_its_lists",)),
    Row("Clients", "PHP above a megabyte: Expect: 100-continue (recorded)", (_WIRE + "test_a_large_body_that_asks_before_it_comes",)),
    Row("Clients", "n8n: sending, and its trigger (recorded)", (_WIRE + "test_n8n_sends_in_small_letters_with_its_language_inside_from", _WIRE + "test_n8n_listens")),
    Row("Clients", "the Ruby gem (recorded)", (_WIRE + "test_the_ruby_gem_hands_whole_objects_back",)),
    Row("Clients", "the Go client: v3 and v3.1", ("../peers/test_api_clients.py::test_the_go_client_works_after_changing_its_address", _WIRE + "test_the_go_client_appends_to_its_base_url")),
    Row("Clients", "the Java client (recorded)", (_WIRE + "test_javas_client",)),
    Row("Clients", "the WordPress plugin (recorded)", (_WIRE + "test_the_wordpress_plugin",), "its frame in the administration (apitoken) is absent"),
    Row("Clients", "readers (Airbyte, Singer): Limit and Offset until a short page (recorded)", (_WIRE + "test_readers_page_until_a_short_page",)),
    Row("Clients", "Terraform's provider (recorded)", (_WIRE + "test_terraforms_provider_sets_a_sender_up",), "DELETE sender is 405: a member takes a domain away"),
    Row("Basics", "paths, properties and queries in any case; doubled slash", (REST + "test_names_and_paths_in_any_case", SEND + "test_mailjets_own_client_keeps_contacts_and_lists", _WIRE + "test_a_slash_too_many_and_a_list_that_stayed_there")),
    Row("Basics", "keys: 401 without body, 403 by scope, foreign objects are 404", (REST + "test_keys", REST + "test_another_workspace_is_as_if_it_were_not", "test_every_resource.py::test_every_resource_has_a_row")),
    Row("Basics", "Count, Data, Total; Limit, Offset, Sort, countOnly", (REST + "test_names_and_paths_in_any_case",)),
    Row("Basics", "errors in the words that programs compare with", (REST + "test_what_is_wrong_in_the_words_that_programs_look_for",)),
    Row("Basics", "filters that are not offered", (REST + "test_what_is_wrong_in_the_words_that_programs_look_for", "test_every_resource.py::test_no_filter_is_passed_over"), "400 that names the filter: ignoring it would answer with everybody; `style` is ignored"),
    Row("Basics", "bad input: broken JSON, wrong content type, NaN, depth, doubled names, 16 and 24 MB, line ends in header fields", (*_PLACES, V31 + "test_files_of_sixteen_megabytes_are_too_many_together", _WIRE + "test_what_a_body_is_said_to_be_does_not_matter_but_what_it_is", SEND + "test_what_is_no_call_is_said", SEND + "test_a_call_that_is_too_large_is_refused_whole", FILL + "test_no_odd_character_stops_a_call_or_leaves_in_a_header")),
    Row("Basics", "rates: 429", (SEND + "test_who_may_not",), "as an owner set them for the key; X-Mj-Request-Guid is not sent, since the last calls stand on the page *Developers*"),
    Row("Basics", "Idempotency-Key is ignored", (SEND + "test_the_same_call_twice_is_two_mails",)),
    Row("Send", "POST /v3.1/send: recipients, parts, headers, attachments, Globals, SandboxMode, CustomID", (*_CLIENTS, V31 + "test_a_message_as_clients_write_it", SEND + "test_a_sandbox_sends_nothing")),
    Row("Send", "limits: 50 messages, 50 recipients, 15 MB of files, 255 characters of subject, 256 of URLTags", _PLACES),
    Row("Send", "error codes mj-0001 to mj-0015, send-0003 to send-0019, with place", (*_PLACES, FILL + "test_what_is_wrong_is_said_at_once", SEND + "test_who_may_not"), "send-0007 and send-0013 are never said; the sentences of mj-0005, 0006, 0008, 0011, 0012, send-0004, 0006, 0011, 0012 are ours, for no record of Mailjet's is known"),
    Row("Send", "Sender", (V31 + "test_what_is_wrong_is_named_with_its_place",), "only what From says, else send-0006; the `Sender` of v3 is ignored"),
    Row("Send", "the address of a list in To, Cc, Bcc", (_WIRE + "test_a_slash_too_many_and_a_list_that_stayed_there",), "refused (mj-0013): campaigns write to lists"),
    Row("Send", "mixed batches: the bad message fails alone, 400", (V31 + "test_one_message_fails_alone",)),
    Row("Send", "TemplateID, Variables, TemplateLanguage", _LANGUAGE),
    Row("Send", "TemplateErrorReporting, TemplateErrorDeliver", (*_WRONG, _LATE_TEMPLATE, _NEVER_LEFT), "an error is told at once (mj-0005 with its line), unless an owner sets the late refusal: then as `blocked` with `error in template language`; the report comes from the sender of the message"),
    Row("Send", "URLTags; `[[var:…]]`, `[[data:…]]`, `[[EMAIL_TO]]`, `[[UNSUB_LINK_…]]`", (FILL + "test_older_tags_need_no_language_and_links_get_the_callers_query", FILL + "test_a_link_to_leave_is_hers_from_the_first_message_on")),
    Row("Send", "an unvalidated From", (SEND + "test_who_may_not", HOOKS + "test_a_sender_that_is_not_ours_is_blocked_later_where_an_owner_wants_it"), "refused at once (403 send-0008), unless an owner sets the late refusal on the page of keys: answered as sent, then `blocked` with `sender blocked`; AdvanceErrorHandling hears of it at once in any case"),
    Row("Send", "TrackOpens, TrackClicks; by SMTP X-Mailjet-TrackOpen, X-Mailjet-TrackClick", _MEASURED, "as far as each recipient allows: alone only who agreed; account_default is off until an owner says otherwise"),
    Row("Send", "Priority; by SMTP X-Mailjet-Prio", ("../outbound/test_queue.py::test_urgent_single_messages_leave_first_and_the_others_in_their_order", "../outbound/test_asides.py::test_what_is_to_be_measured_and_how_urgent_it_is", V31 + "test_what_is_wrong_is_named_with_its_place")),
    Row("Send", "MonitoringCategory", (V31 + "test_what_is_wrong_is_named_with_its_place",), "ignored, and never refused with send-0013: the page *Traffic* tells keys and domains, not words of a program"),
    Row("Send", "EventPayload", (HOOKS + "test_every_event_as_the_dialect_tells_it",)),
    Row("Send", "CustomCampaign", (HOOKS + "test_every_event_as_the_dialect_tells_it", *_GROUPED, GROUP + "test_webhooks_tell_its_number")),
    Row("Send", "DeduplicateCampaign", (FILL + "test_a_campaign_of_a_program_reaches_a_person_once_where_it_asks", _NEVER_LEFT)),
    Row("Send", "recipients become contacts", _MESSAGE, "without permission to anything; whoever was erased does not come back"),
    Row("Send", "POST /v3/send, /v3/send/message", (OLD + "test_one_mail_for_all_who_stand_in_to_and_cc", OLD + "test_recipients_get_mails_of_their_own_with_their_own_vars", OLD + "test_a_template_by_name_or_number", OLD + "test_what_is_wrong_is_told_and_nothing_is_sent", SEND + "test_the_older_send_call_has_its_two_addresses")),
    Row("Template language", "variables, defaults, data, conditions, loops, set, functions, errors and their texts", ("../content/test_mtl.py::test_what_a_template_gives", "../content/test_mtl.py::test_what_is_an_error_in_the_words_that_programs_know")),
    Row("Template language", "`mj:` of contact, sender and template, unsub_link in any language", ("../content/test_mtl.py::test_what_a_template_gives", FILL + "test_what_shows_the_recipient_is_a_message_of_its_own_for_each", FILL + "test_a_link_to_leave_is_hers_from_the_first_message_on"), "share links, `[[PERMALINK]]` and `[[CONTACTS_LIST_NAME]]` of a single message lead nowhere and are empty; no `mj:sender.ID`"),
    Row("Template language", "escaping", ("../content/test_mtl.py::test_what_belongs_to_the_recipient_is_escaped_in_html_and_the_callers_is_not",), "values of a contact are escaped in HTML, what the caller passes is not"),
    Row("Template language", "`segment:` in conditions", ("../content/test_mtl.py::test_segments_are_known_by_name_or_number_and_an_unknown_one_is_an_error", FILL + "test_who_is_in_a_segment_reads_what_is_for_it"), "who is in a segment by a property that such a message may not use of her is not"),
    Row("SMTP", "signing in with key and secret over STARTTLS or TLS; each recipient a message with its number", ("../edge/test_submission.py::test_tls_comes_first_and_then_the_sign_in", "../edge/test_submission.py::test_a_250_means_it_is_on_disk_once_for_each_person", "../edge/test_submission.py::test_the_sender_is_one_the_account_may_use"), "no sign-in without TLS"),
    Row("SMTP", "X-MJ-CustomID, X-MJ-EventPayload, X-Mailjet-Campaign; all X-MJ- and X-Mailjet- taken out", ("../edge/test_submission.py::test_a_250_means_it_is_on_disk_once_for_each_person", "../outbound/test_asides.py::test_they_are_kept_with_the_message_and_none_leaves")),
    Row("SMTP", "X-MJ-TemplateID, X-MJ-TemplateLanguage, X-MJ-Vars", _BY_SMTP),
    Row("SMTP", "X-MJ-TemplateErrorReporting, X-MJ-TemplateErrorDeliver", ("../edge/test_submission.py::test_a_template_in_error_is_told_and_delivered_as_the_message_asks", "../edge/test_submission.py::test_what_cannot_be_filled_in_is_refused_with_its_reason"), "an error is told at once (554 with its line), not as a blocked event later"),
    Row("SMTP", "X-Mailjet-DeduplicateCampaign", ("../edge/test_submission.py::test_a_campaign_reaches_a_person_once_where_the_message_asks",)),
    Row("Contacts", "contact GET POST PUT", _CONTACT, "DeliveredCount counts campaigns, and nothing is sorted by it; UnsubscribedBy is empty; no filter by Campaign or Status"),
    Row("Contacts", "IsExcludedFromCampaigns", (REST + "test_changing_a_contact", REST + "test_what_she_decided_herself_no_program_takes_back"), "what the person decided herself no program takes back"),
    Row("Contacts", "contactmetadata GET POST PUT DELETE", _DATA, "numbers are told as float; name and type stay; a property somebody still has is not deleted; `historic` is refused"),
    Row("Contacts", "contactdata GET PUT DELETE", (*_DATA, REST + "test_what_is_sensitive_or_guessed_no_program_sees"), "a date is a day; sensitive and guessed properties are not shown"),
    Row("Contacts", "contactslist GET POST PUT DELETE", _LISTS, "a list that something is built on is not deleted"),
    Row("Contacts", "listrecipient GET POST PUT DELETE", _LISTS, "its number changes when somebody comes back"),
    Row("Contacts", "contactslist/ID/managecontact", (REST + "test_what_an_action_makes_of_a_person_on_a_list", REST + "test_managing_makes_whom_it_needs_and_names_what_is_wrong")),
    Row("Contacts", "contact/ID/managecontactslists, getcontactslists", (REST + "test_managing_makes_whom_it_needs_and_names_what_is_wrong",)),
    Row("Contacts", "contact/managemanycontacts, contactslist/ID/managemanycontacts", _MANY, "the error file tells place and reason of each: what was sent is not kept"),
    Row("Contacts", "permission of whom a program adds", (REST + "test_whom_a_program_adds_may_be_written_to_as_a_member_declared",), "as a member declared for the key; without that they are kept and not written to"),
    Row("Contacts", "contactslist/ID/importlist", ("test_csv_import.py::test_the_people_of_a_list_on_another",), "nobody's permission changes by it"),
    Row("Contacts", "DATA/contactslist/ID/CSVData, csvimport with all methods, DATA/batchjob/ID/CSVError", _CSV, "a file is taken in once, and kept until then; a date is a day, so TimezoneOffset changes nothing; more refused lines than ErrTreshold: nothing is written (Abort)"),
    Row("Contacts", "batchjob GET PUT", (*_CSV, REST + "test_many_at_once_are_a_job"), "PUT stops a job; Blocksize and Throttle are 0"),
    Row("Contacts", "contactfilter GET POST PUT DELETE", _FILTERS, "a segment that expressions cannot say is told as `InSegment(ID)`, which programs may use; EndsWith is refused; dates are days"),
    Row("Contacts", "contactslistsignup GET", (REST + "test_who_came_to_a_list_by_a_form",), "who confirmed, never whom a link still waits for; no network address, no SignupKey"),
    Row("Contacts", "contacthistorydata", ("test_statistics.py::test_what_is_deprecated_and_still_called",), "empty: a property has its value of today, and no historic ones"),
    Row("Contacts", "contactslist/ID/verify", call="GET contactslist/{list}/verify"),
    Row("Contacts", "DELETE /v4/contacts/ID, /v4/REST/contacts/ID", (REST + "test_erasure_by_the_address_of_the_newer_service",), "erased in every room at once; a program cannot make the address again"),
    Row("Templates", "template GET POST PUT DELETE, detailcontent GET POST PUT", (FILL + "test_a_stored_template_says_what_the_message_does_not", *(f"test_edited.py::{name}" for name in ("test_it_is_listed_and_read_in_tags_of_the_dialect", "test_it_is_sent_by_its_number_and_filled_in", "test_nobody_writes_over_it", "test_what_no_tag_can_say_is_shown_and_refused_in_a_message", "test_a_campaign_takes_its_words"))), "what members wrote in Envol's editor is listed, read and sent, and changed there only; one with conditions, loops or products is refused in a message; MJMLContent alone is compiled instead of being refused"),
    Row("Templates", "the newer content service (/v1/REST/templates…)", call="GET /v1/REST/templates"),
    Row("Templates", "detailpreviews, displaypreview, detailthumbnail", call="GET template/{template}/detailpreviews"),
    Row("Campaigns", "campaign GET", (REST + "test_figures_of_what_was_sent", CF, *_GROUPED), "no row for plain mail without CustomCampaign; none is starred or deleted; of a CustomCampaign no Subject"),
    Row("Campaigns", "campaigndraft GET POST PUT, detailcontent, send, schedule, test, status", ("test_drafts.py::test_from_the_first_word_to_sending", "test_drafts.py::test_a_programs_campaign_reaches_the_customers_of_what_its_key_is_about", "test_drafts.py::test_a_draft_takes_its_words_from_a_template", "test_drafts.py::test_what_is_wrong_is_said", "test_contact_filters.py::test_a_campaign_for_a_part_of_a_list"), "sent for the purpose declared for the key and about what was said of the key; the words of a Template are copied when it is named; no A/B test"),
    Row("Campaigns", "template language in campaigns", tuple(f"../content/test_mtl_in_campaigns.py::{name}" for name in ("test_it_says_what_a_single_message_would", "test_what_every_letter_has", "test_what_could_not_give_the_same_is_refused_with_its_line")), "a `var:` gives its default, for a campaign has no variables; what a loop sets ends with its turn; no `segment:`, HasOpenedSince, HasClickedSince: SegmentationID chooses; all that is refused when it is written, with its line"),
    Row("Campaigns", "newsletter and its acts", ("test_drafts.py::test_the_older_twin_of_a_draft",), "the same as campaigndraft; footer, header and permalink are those of Envol's pages"),
    Row("Campaigns", "axtesting, workflow, campaignaggregate", ("test_statistics.py::test_what_is_deprecated_and_still_called",), "empty: A/B tests and journeys are made on the pages of Envol"),
    Row("Messages", "message GET", (*_MESSAGE, GROUP + "test_messages_by_the_filters_of_the_dialect"), "single messages; AttachmentCount is of what the send API took, 0 by SMTP; Destination is a domain's name, a Sender a domain; no filter by PlanSubscription"),
    Row("Messages", "messagehistory, messageinformation, messagestate GET", (*_MESSAGE, REST + "test_figures_of_what_was_sent")),
    Row("Statistics", "statcounters", (REST + "test_figures_of_what_was_sent", "test_statistics.py::test_counters_of_each_source_and_stretch"), "every source, timing and resolution (Week and Month too); a Sender is a domain, and counts its campaigns; single messages by Message in the stretch in which they ended; a CustomCampaign over the Lifetime; delays are 0"),
    Row("Statistics", "statistics/link-click, statistics/recipient-esp", (REST + "test_figures_of_what_was_sent",), "providers are receiving domains"),
    Row("Statistics", "contactstatistics, listrecipientstatistics", ("test_statistics.py::test_people",), "of campaigns; not filtered by figures"),
    Row("Statistics", "campaignoverview, toplinkclicked, bouncestatistics", ("test_statistics.py::test_campaigns_and_what_came_back", CF, GROUP + "test_opens_clicks_and_bounces_by_the_word_of_a_program"), "links of the last 90 days where no campaign or time is named, and of all people; bounces without a time are all that are kept; what came back late is in the message's history; no filter by Subject"),
    Row("Statistics", "apikeytotals, campaignstatistics, domainstatistics, liststatistics, senderstatistics", ("test_statistics.py::test_campaigns_and_what_came_back", CF), "LastActivityAt is empty; a sender is a domain; the names of fields are unsure, for no record of them is known"),
    Row("Statistics", "openinformation, clickstatistics", ("test_reactions.py::test_opens_and_clicks_one_by_one", CF, GROUP + "test_opens_clicks_and_bounces_by_the_word_of_a_program"), "of people who agreed to be measured; no user agent; no filter by MessageStatus or MessageID; without a time all that is kept, not the current day"),
    Row("Statistics", "messagestatistics, openstatistics, graphstatistics, campaigngraphstatistics, messagesentstatistics", ("test_statistics.py::test_what_is_deprecated_and_still_called", GROUP + "test_what_became_of_each_message_as_the_older_family_tells_it"), "delays and deviations are 0; graphs are by day (of campaigns by hour) of UTC, of the last 90 days where no time is named; but for messagesentstatistics the names of fields are unsure"),
    Row("Statistics", "geostatistics, useragentstatistics, useragent", ("test_statistics.py::test_what_is_deprecated_and_still_called",), "empty: where and with what somebody reads is not kept"),
    Row("Events", "eventcallbackurl GET POST PUT DELETE, test", (HOOKS + "test_the_resource",), "over https to public hosts only (a setting opens the own network); not where the transfer is unlawful"),
    Row("Events", "payloads of sent, bounce, blocked, spam, single and grouped", (_FIELDS, HOOKS + "test_every_event_as_the_dialect_tells_it", HOOKS + "test_grouped_and_signed")),
    Row("Events", "payload of unsub", (_FIELDS, HOOKS + "test_every_event_as_the_dialect_tells_it", HOOKS + "test_who_leaves_by_a_programs_campaign_is_told_with_its_list"), "ip, geo and agent are empty, for they are not kept; mj_list_id is the list of a campaign that a program made, else 0"),
    Row("Events", "payloads of open and click", (_FIELDS, HOOKS + "test_reactions_are_told_while_she_agrees_and_no_machines",), "of people who agreed to be measured; ip, geo and agent are empty, for they are not kept"),
    Row("Events", "tries again for a day, then dead and the backup", (HOOKS + "test_of_one_person_things_are_told_in_order_and_tried_again", HOOKS + "test_a_program_that_is_down_rests_then_is_dead_and_its_second_takes_over"), "later and later instead of every 30 s; every 2xx counts as taken"),
    Row("Events", "parseroute and its payload", ("test_parse_route.py::test_mail_for_a_program",), "an address of a domain of yours; SpamAssassinScore is 0"),
    Row("Account", "sender GET POST, validate; dns GET, check", _PROBES, "a sender is a domain, shown as `*@domain`; no PUT and no DELETE: a member takes a domain away; OwnerShipTokenRecordName is empty, since a domain is proved by its DKIM record"),
    Row("Account", "metasender GET POST", _PROBES, "a domain, as sender; no PUT"),
    Row("Account", "apikey GET PUT, myprofile GET, user GET", _PROBES, "the key that asks, and the organisation; of its members nothing; keys are made, and profiles changed, on the pages"),
    Row("Account", "preferences", ("test_statistics.py::test_what_is_deprecated_and_still_called",), "empty: there are none"),
    Row("Account", "apitoken, metadata", call="GET apitoken"),
    Row("Account", "SMS (/v4/sms…)", call="GET /v4/sms"),
)  # fmt: skip


def verdict(row: Row, broken: Mapping[str, bool]) -> str:
    if not row.tests:
        return "absent"
    if any(broken.get(test, False) for test in row.tests):
        return "broken"
    return "differs" if row.differs else "works"


def page(broken: Mapping[str, bool]) -> str:
    """``broken``: tests that failed."""
    lines = [
        "# Row by row",
        "",
        "What programs written for Mailjet find here. Made by `make compatibility` from the results of the tests that each row names",
        "in tests/api/compatibility.py; what is absent answers 404 in the dialect's own shape.",
    ]
    part = ""
    for row in ROWS:
        if row.part != part:
            part = row.part
            lines += ["", f"## {part}", "", "| | | |", "| --- | --- | --- |"]
        lines.append(f"| {row.what} | {verdict(row, broken)} | {row.differs} |".replace(" |  |", " | |"))
    found = [verdict(row, broken) for row in ROWS]
    counted = ", ".join(f"{found.count(word)} {word}" for word in ("works", "differs", "absent"))
    return "\n".join([*lines, "", f"Of {len(ROWS)} rows: {counted}.", ""])


class _Results:
    def __init__(self) -> None:
        self.failed: set[str] = set()

    def pytest_runtest_logreport(self, report: object) -> None:
        if getattr(report, "failed", False):
            self.failed.add(str(getattr(report, "nodeid", "")).partition("[")[0])


def main() -> int:
    import pytest

    here = Path(__file__).resolve().parent
    wanted = sorted({test for row in ROWS for test in row.tests})
    paths = {test: (here / test.partition("::")[0]).resolve().relative_to(here.parents[1]) for test in wanted}
    results = _Results()
    status = pytest.main(
        ["-q", "-m", "", *(f"{paths[test]}::{test.partition('::')[2]}" for test in wanted)], plugins=[results]
    )
    broken = {test: f"{paths[test]}::{test.partition('::')[2]}" in results.failed for test in wanted}
    PAGE.write_text(page(broken), "utf-8")
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
