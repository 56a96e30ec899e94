-- Since when the fleet has the app's access token, and until when it is used: told to support and to operators, who see no
-- daemon's metrics. Written once a fetch, seldom more than once in two hours; nothing is decided by it.
alter table outboxd.app_state
    add column token_fetched_at timestamptz,
    add column token_expires_at timestamptz;
