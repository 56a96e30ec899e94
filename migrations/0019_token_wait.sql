-- How long of an attempt was waited for an access token: what a timeline tells of a slow first call. Null, which takes no room,
-- when it was not.
alter table outboxd.notification_attempt add column token_ms integer;
