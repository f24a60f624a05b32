-- Single messages are looked for by address, by their number in our log and by the Message-ID they came with. People of
-- campaigns are found through their contact, so these indexes cost a campaign nothing.
CREATE INDEX outbound_send_address ON outbound_send (lower(address)) WHERE message_id IS NOT NULL;
CREATE INDEX outbound_send_message ON outbound_send (message_id) WHERE message_id IS NOT NULL;
CREATE INDEX outbound_message_given ON outbound_message ((header->>'message_id')) WHERE header ? 'message_id';
