-- The desk's lists of what did not go well, newest first, a page from anywhere (`outboxd list`, /messages, /dead): of all
-- causes, or of one. Partial, so a delivered row pays nothing, and one in fifty pays for two small entries.
create index notification_delivery_trouble_id on outboxd.notification_delivery (id) where status <> 'delivered';
create index notification_delivery_trouble_reason on outboxd.notification_delivery (reason, id) where status <> 'delivered';
