-- When a daemon of the fleet last fetched the app's access token, and until when that one is used: told to support and to
-- operators, who see no daemon's metrics. Written once a fetch, seldom more than once in two hours; nothing is decided by it.
alter table outboxd.app_state
    add column token_fetched_at timestamptz,
    add column token_expires_at timestamptz;
