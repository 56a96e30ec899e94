//! Pause and resume an app. Every claim passes `app_state`, so both act at once on the whole fleet; calls
//! under way are finished.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::By;

/// A pause that stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Pause {
    pub by: String,
    pub since: DateTime<Utc>,
    pub reason: Option<String>,
}

/// What a pause did.
#[derive(Clone, Debug, PartialEq)]
pub enum Paused {
    Done {
        /// Whether anything is known of this app; if not, its name may be mistyped.
        known: bool,
    },
    /// Somebody did it before, and their reason stays.
    Already(Pause),
}

/// Stops claiming for this app.
pub async fn pause(conn: &mut PgConnection, app: &str, by: &By) -> sqlx::Result<Paused> {
    let known = sqlx::query_scalar!(
        r#"-- outboxd pause: known
           select exists (select from outboxd.app_state s where s.app = $1)
               or exists (select from outboxd.notification_outbox o where o.app = $1)
               or exists (select from outboxd.notification_attempt a
                           where a.app = $1 and a.ended_at > statement_timestamp() - interval '1 hour') as "known!""#,
        app
    )
    .fetch_one(&mut *conn)
    .await?;
    // Paused when we came, and resumed by the time we looked: once more.
    loop {
        let done = sqlx::query!(
            r#"-- outboxd pause
               with paused as (
                   insert into outboxd.app_state as s (app, paused_at, paused_by, pause_reason)
                   values ($1, clock_timestamp(), $2, $3)
                   on conflict (app) do update
                      set paused_at = excluded.paused_at, paused_by = excluded.paused_by, pause_reason = excluded.pause_reason
                    where s.paused_at is null
                   returning s.app
               )
               insert into outboxd.audit_log (actor, action, app, affected, reason, detail)
               select $2, 'pause', app, 0, $3, jsonb_build_object('before', 'open', 'after', 'paused') from paused"#,
            app,
            by.actor,
            by.reason
        )
        .execute(&mut *conn)
        .await?;
        if done.rows_affected() == 1 {
            return Ok(Paused::Done { known });
        }
        let earlier = sqlx::query_as!(
            Pause,
            r#"-- outboxd pause: earlier
               select s.paused_by as "by!", s.paused_at as "since!", s.pause_reason as reason from outboxd.app_state s
                where s.app = $1 and s.paused_at is not null limit 1"#,
            app
        )
        .fetch_optional(&mut *conn)
        .await?;
        if let Some(earlier) = earlier {
            return Ok(Paused::Already(earlier));
        }
    }
}

/// What a resume did.
#[derive(Clone, Debug, PartialEq)]
pub struct Resumed {
    /// The pause it lifted.
    pub paused: Option<(String, DateTime<Utc>)>,
    /// It closed an open breaker.
    pub closed: bool,
    /// The breaker is open all the same, until then.
    pub still_open: Option<DateTime<Utc>>,
}

/// Claims again for this app; `close_breaker` asks it not to wait for an open breaker's time either.
pub async fn resume(
    conn: &mut PgConnection,
    app: &str,
    by: &By,
    close_breaker: Breaker,
) -> sqlx::Result<Resumed> {
    let close = close_breaker == Breaker::Close;
    let Some(before) = locked(&mut *conn, app).await? else {
        return Ok(Resumed {
            paused: None,
            closed: false,
            still_open: None,
        });
    };
    let open = before.breaker != "closed";
    sqlx::query!(
        r#"-- outboxd resume
           with resumed as (
               update outboxd.app_state s
                  set paused_at = null, paused_by = null, pause_reason = null,
                      breaker = case when $4 then 'closed' else s.breaker end,
                      breaker_until = case when $4 then null else s.breaker_until end,
                      breaker_reason = case when $4 then null else s.breaker_reason end,
                      breaker_errcode = case when $4 then null else s.breaker_errcode end,
                      breaker_since = case when $4 then null else s.breaker_since end,
                      breaker_strikes = case when $4 then 0 else s.breaker_strikes end
                where s.app = $1 and (s.paused_at is not null or $4 and s.breaker <> 'closed')
               returning s.app
           )
           insert into outboxd.audit_log (actor, action, app, affected, reason, detail)
           select $2, 'resume', app, 0, $3, jsonb_build_object('breaker_closed', $5::bool,
                      'before', jsonb_build_object('paused_by', $6::text, 'paused_at', $7::timestamptz,
                                                   'pause_reason', $8::text, 'breaker', $9::text),
                      'after', jsonb_build_object('breaker', case when $4 then 'closed' else $9::text end)) from resumed"#,
        app,
        by.actor,
        by.reason,
        close,
        close && open,
        before.paused_by,
        before.paused_at,
        before.pause_reason,
        before.breaker
    )
    .execute(conn)
    .await?;
    Ok(Resumed {
        paused: before.paused_by.zip(before.paused_at),
        closed: close && open,
        still_open: before.breaker_until.filter(|_| open && !close),
    })
}

/// Resumes what was seen: `seen` is when the pause began, as a document shows it (to the millisecond), or `None` where there was
/// none. Another pause is not lifted unseen; then nothing is done, and it is returned.
pub async fn resume_as_seen(
    conn: &mut PgConnection,
    app: &str,
    seen: Option<DateTime<Utc>>,
    by: &By,
    close_breaker: Breaker,
) -> sqlx::Result<Result<Resumed, Pause>> {
    let seen = seen.map(|at| at.timestamp_millis());
    let pause = locked(&mut *conn, app).await?.and_then(Gate::pause);
    match pause.filter(|pause| Some(pause.since.timestamp_millis()) != seen) {
        Some(other) => Ok(Err(other)),
        None => resume(conn, app, by, close_breaker).await.map(Ok),
    }
}

struct Gate {
    paused_at: Option<DateTime<Utc>>,
    paused_by: Option<String>,
    pause_reason: Option<String>,
    breaker: String,
    breaker_until: Option<DateTime<Utc>>,
}

impl Gate {
    fn pause(self) -> Option<Pause> {
        Some(Pause {
            by: self.paused_by?,
            since: self.paused_at?,
            reason: self.pause_reason,
        })
    }
}

/// The gate as it stands, held until the transaction ends.
async fn locked(conn: &mut PgConnection, app: &str) -> sqlx::Result<Option<Gate>> {
    sqlx::query_as!(
        Gate,
        r#"-- outboxd resume: lock
           select s.paused_at, s.paused_by, s.pause_reason, s.breaker, s.breaker_until from outboxd.app_state s
            where s.app = $1 limit 1 for update"#,
        app
    )
    .fetch_optional(conn)
    .await
}

/// What to do with an open breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breaker {
    /// Let its time run.
    Leave,
    /// Close it; the next failure opens it again.
    Close,
}
