//! Hostile texts in every field that anybody outside can fill, before every front end that shows them: markup for pages,
//! formulas for spreadsheets, controls for terminals and logs, lines and paths for whoever takes them apart. Each must come
//! out as the text it is.

mod files;
mod html;
mod lines;
mod pages;
mod requests;

use sqlx::PgPool;

/// Each text ends so; where it is not found, nothing was shown and nothing was proven.
const MARK: &str = "kanari";

/// What stands in the rows that are compared with: no harm in it.
const PLAIN: &str = "plain kanari";

/// More of those than a page of a list holds; the hostile ones come behind.
const PLAIN_ROWS: i64 = 60;

fn texts() -> Vec<String> {
    let texts = [
        // Markup: as an element, out of an attribute, out of whatever may be around it, as an address.
        "<script>alert(7)</script>",
        "\"><img src=x onerror=alert(7)>",
        "' onmouseover='alert(7)' x='",
        "\" onfocus=\"alert(7)\" autofocus=\"",
        "</title></textarea></style></script></svg><svg/onload=alert(7)>",
        "--><!--<b>",
        "]]><b>",
        "&lt;img src=x&#62;&#x3c;b>",
        "javascript:alert(7)//",
        "//evil.example/",
        "https://evil.example/",
        // Templates and statements.
        "{{ 7*7 }}{% raw %}${7*7}#{7*7}<%= 7*7 %>",
        "'; drop table outboxd.audit_log; --",
        "%' or ''='",
        // Formulas.
        "=HYPERLINK(\"http://evil.example\")",
        "+cmd|' /C calc'!A0",
        "-1+1",
        "@SUM(1)",
        "\t=1+1",
        "\r=1+1",
        " =1+1",
        "＝1+1",
        "\u{200b}=1+1",
        "\",=1+1,\"",
        "a\n=1+1",
        // What a terminal obeys, in seven and in eight bits.
        "\u{1b}[2J\u{1b}[31m",
        "\u{1b}]0;title\u{7}\u{1b}]8;;http://evil.example\u{1b}\\",
        "\u{9b}31m\u{90}q\u{9d}0;t\u{9c}\u{85}",
        "\u{8}\u{8}\u{8}\u{7f}\u{0b}\u{0c}",
        // What turns a line around, or hides in it.
        "\u{202e}txt.exe\u{2066}\u{2069}\u{200f}\u{61c}",
        "a\u{200b}\u{2060}\u{feff}b",
        "\u{2028}\u{2029}",
        // Lines and paths.
        "x\r\nSet-Cookie: a=b\r\n\r\n<b>",
        "\nERROR forged=true",
        "../../../../etc/passwd",
        "%2e%2e%2f%00%0d%0a",
        "\\\\evil\\share",
    ];
    let mut texts: Vec<String> = texts.iter().map(|text| format!("{text}{MARK}")).collect();
    // As long as a column takes.
    texts.push(format!("{}{MARK}", "<b>".repeat(80)));
    texts
}

/// Turns a line around, hides in it, ends it, or is obeyed by a terminal.
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Says where, with what is around it.
#[track_caller]
fn assert_harmless(place: &str, text: &str, allowed: &[char]) {
    let found = text
        .char_indices()
        .find(|(_, c)| is_harmful(*c) && !allowed.contains(c));
    if let Some((at, c)) = found {
        let from = (0..=at.saturating_sub(60))
            .rev()
            .find(|n| text.is_char_boundary(*n));
        let around: String = text[from.unwrap_or(0)..].chars().take(120).collect();
        panic!("{place}: {c:?} in {around:?}");
    }
}

/// Rows in each table with this text in each column that can hold it: 1000 + n waits, 2000 + n has ended.
async fn fill(pool: &PgPool, n: i64, text: &str) {
    for statement in [
        "insert into outboxd.notification_outbox (id, app, event_type, aggregate_type, aggregate_id, recipient, payload, dedupe_key,
             order_key, collapse_key, traceparent, created_by, attempts, next_attempt_at)
         overriding system value
         select 1000 + $1, left($2, 64), left($2, 128), left($2, 128), $2, $2,
                jsonb_build_object('aggregate_label', $2, 'recipient_label', $2, 'phone', $2, 'text', $2, $2, jsonb_build_array($2)),
                left($2, 255), left($2, 255), left($2, 255), left($2, 255), $2, 1, now() + interval '1 hour'",
        "insert into outboxd.notification_delivery (id, key, app, event_type, aggregate_type, aggregate_id, recipient, payload, dedupe_key,
             order_key, collapse_key, priority, attempts, lease_epoch, traceparent, format_version, created_at, created_by, status, reason,
             errcode, may_have_arrived, msgid, settled_at, settled_by)
         select 2000 + $1, gen_random_uuid(), app, event_type, aggregate_type, aggregate_id, recipient, payload, dedupe_key, order_key,
                collapse_key, 2, 1, 0, traceparent, 1, now() - interval '1 hour', $2, 'dead', $2, 43101, false, $2,
                now() - interval '1 minute', $2
           from outboxd.notification_outbox where id = 1000 + $1",
        "insert into outboxd.notification_attempt (notification_id, attempt, app, lease_token, daemon, started_at, ended_at, phase, outcome,
             errcode, sentence, latency_ms, detail)
         select id + $1, 1, left($2, 64), gen_random_uuid(), $2, now(), now(), 'answered', 'failed', 43101, $2, 7, $2
           from unnest('{1000, 2000}'::bigint[]) id",
        "insert into outboxd.audit_log (actor, action, app, notification_ids, affected, reason, detail)
         select $2, $2, left($2, 64), array[1000 + $1, 2000 + $1], 2, $2,
                jsonb_build_object('before', jsonb_build_object($2, $2), 'after', jsonb_build_object($2, $2 || '!'), $2, $2)",
        "insert into outboxd.app_state (app, paused_at, paused_by, pause_reason, breaker, breaker_since, breaker_until, breaker_reason, breaker_errcode)
         select left($2, 64), now(), $2, $2, 'open', now(), now() + interval '1 hour', $2, 40125 where $1 >= 0
         on conflict do nothing",
        "insert into outboxd.notification_handled (notification_id, key, settled_at, outcome, handled_by)
         select id, key, settled_at, 'not_reached', $2 from outboxd.notification_delivery where id = 2000 + $1",
        "insert into outboxd.notification_successor (old_id, old_key, new_id, new_key, kind, by)
         select d.id, d.key, o.id, o.key, 'redirect', $2 from outboxd.notification_delivery d, outboxd.notification_outbox o
          where d.id = 2000 + $1 and o.id = 1000 + $1 and $1 % 2 = 1",
        "insert into outboxd.bulk_redrive (statuses, app, reason, event_type, recipient, settled_until, with_doubtful, with_late, preview,
             why, planned_by, changed_by, per_second, stop_above, state, stopped_because)
         select '{dead}', left($2, 64), $2, left($2, 128), $2, now(), false, false,
                jsonb_build_object('count', 1, 'is_more', false, 'oldest', null, 'stale', 0, 'late', 0, 'doubtful', 0, 'ordered', 0,
                                   'causes', jsonb_build_array(jsonb_build_object('reason', $2, 'count', 1))),
                $2, $2, $2, 5, 20, 'stopped', '34 %' where $1 >= 0",
    ] {
        sqlx::query(sqlx::AssertSqlSafe(statement.replace("$2", "$2::text")))
            .bind(n)
            .bind(text)
            .execute(pool)
            .await
            .unwrap_or_else(|e| panic!("{e}: {text:?}: {statement}"));
    }
}

/// As it stands in an address.
fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
