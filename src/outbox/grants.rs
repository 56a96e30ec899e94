//! Rows that wait for the user's permission: whose turn it is to ask for grants, about whom, and letting rows go.
//!
//! Of the fleet one daemon asks at a time: `app_state.grants_ask_at` is the fence, moved ahead before the call and set to
//! the next time after it; no lock and no transaction is held in between. A daemon that dies over it has lost its turn
//! for a minute, and nothing else. Everything here walks `notification_outbox_awaiting`, which is empty where nobody waits.

use std::time::Duration;

use anyhow::{Context, Result};

use super::line::{Line, answered};
use crate::catalogue::Entry;
use crate::delivery::{Granted, Pair};

/// What this daemon is to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Ask about these, and then say [`done`]. More are behind them.
    Ask { pairs: Vec<Pair>, more: bool },
    /// It was asked lately, or the app is paused or its breaker open; none: the latter.
    Later(Option<Duration>),
    /// No row waits for a grant.
    NobodyWaits,
}

/// How many of one person's rows of a type one asking looks at and lets go at most; the next one has the rest.
const MOST_AT_ONCE: u32 = 1000;
/// How many one statement lets go where nobody can be asked.
const ALL_AT_ONCE: i64 = 5000;

/// Takes the turn if it is due, for as long as the asking may take.
pub async fn turn(line: &mut Line, app: &str, most: usize, asking_takes: Duration) -> Result<Turn> {
    let mut connection = line.take().await?;
    let asking_ms = millis(asking_takes);
    // The two days: a time that far ahead stems from a clock that has since been set back.
    let gate = answered(
        sqlx::query!(
            r#"-- outboxd grants: turn
            with waiting as materialized (
                select exists (select from outboxd.notification_outbox where app = $1 and awaits_grant) as anybody
            ),
            turn as (
                insert into outboxd.app_state as s (app, grants_ask_at)
                select $1, clock_timestamp() + $2::bigint * interval '1 millisecond' from waiting where anybody
                on conflict (app) do update set grants_ask_at = excluded.grants_ask_at
                 where s.paused_at is null and s.breaker = 'closed'
                   and (s.grants_ask_at is null or s.grants_ask_at <= statement_timestamp()
                        or s.grants_ask_at > statement_timestamp() + interval '2 days')
                returning s.grants_asked_to
            )
            select w.anybody as "anybody!", exists (select from turn) as "mine!",
                   (select grants_asked_to[1] from turn) as recipient, (select grants_asked_to[2] from turn) as event_type,
                   (select (extract(epoch from s.grants_ask_at - statement_timestamp()) * 1000)::bigint
                      from outboxd.app_state s
                     where s.app = $1 and s.grants_ask_at > statement_timestamp()) as wait_ms
              from waiting w"#,
            app,
            asking_ms
        )
        .fetch_one(&mut connection),
    )
    .await
    .context("take the turn to ask for grants")?;
    if !gate.mine {
        line.back(connection).await?;
        return Ok(if gate.anybody {
            Turn::Later(
                gate.wait_ms
                    .map(|ms| Duration::from_millis(ms.unsigned_abs())),
            )
        } else {
            Turn::NobodyWaits
        });
    }
    let limit = i64::try_from(most).unwrap_or(i64::MAX).saturating_add(1);
    // Each step hops to the next pair in the index, however many rows of a pair there are.
    let found = answered(
        sqlx::query_as!(
            Pair,
            r#"-- outboxd grants: about whom
            with recursive pair as (
                (select o.recipient, o.event_type from outboxd.notification_outbox o
                  where o.app = $1 and o.awaits_grant and (o.recipient, o.event_type) > ($2::text, $3::text)
                  order by o.recipient, o.event_type limit 1)
                union all
                select next.recipient, next.event_type from pair cross join lateral (
                       select o.recipient, o.event_type from outboxd.notification_outbox o
                        where o.app = $1 and o.awaits_grant and (o.recipient, o.event_type) > (pair.recipient, pair.event_type)
                        order by o.recipient, o.event_type limit 1) next
            )
            select recipient as "recipient!", event_type as "event_type!" from pair limit $4"#,
            app,
            gate.recipient.unwrap_or_default(),
            gate.event_type.unwrap_or_default(),
            limit
        )
        .fetch_all(&mut connection),
    )
    .await
    .context("look who waits for grants")?;
    line.back(connection).await?;
    let (pairs, more) = whole_people(found, most);
    Ok(Turn::Ask { pairs, more })
}

/// At most so many pairs, without cutting a person in two: types of event may share their grants.
fn whole_people(mut pairs: Vec<Pair>, most: usize) -> (Vec<Pair>, bool) {
    if pairs.len() <= most {
        return (pairs, false);
    }
    let cut = pairs.swap_remove(most);
    pairs.truncate(most);
    let whole = pairs.partition_point(|pair| pair.recipient != cut.recipient);
    // A person with more types than that is cut all the same.
    if whole > 0
        && pairs[whole..]
            .iter()
            .all(|pair| pair.recipient == cut.recipient)
    {
        pairs.truncate(whole);
    }
    (pairs, true)
}

/// Makes rows due that a newer one of their `collapse_key` has overtaken: their next claim settles them so. Of each pair
/// the oldest are looked at, which a grant would let go first; one behind them that is missed costs no grant either.
pub async fn let_overtaken_go(line: &mut Line, app: &str, pairs: &[Pair]) -> Result<u64> {
    let (recipients, event_types) = columns(pairs);
    let mut connection = line.take().await?;
    let done = answered(
        sqlx::query!(
            r#"-- outboxd grants: let overtaken go
            with oldest as materialized (
                select o.id, o.collapse_key from unnest($2::text[], $3::text[]) as p (recipient, event_type) cross join lateral (
                       select w.id, w.collapse_key from outboxd.notification_outbox w
                        where w.app = $1 and w.awaits_grant and w.recipient = p.recipient and w.event_type = p.event_type
                          and w.next_attempt_at > statement_timestamp() and w.collapse_key is not null
                        order by w.id limit $4) o
            ),
            overtaken as materialized (
                select o.id from oldest o
                 where exists (select from outboxd.notification_outbox n
                                where n.app = $1 and n.collapse_key = o.collapse_key and n.id > o.id)
                    or outboxd.newest_settled($1, o.collapse_key, o.id) is not null
            )
            update outboxd.notification_outbox o set next_attempt_at = clock_timestamp(), awaits_grant = false
             where o.id = any (array(select id from overtaken))
               and o.awaits_grant and o.next_attempt_at > statement_timestamp()"#,
            app,
            &recipients as &[&str],
            &event_types as &[&str],
            i64::from(MOST_AT_ONCE),
        )
        .execute(&mut connection),
    )
    .await
    .context("let overtaken notifications go")?;
    line.back(connection).await?;
    Ok(done.rows_affected())
}

/// Makes as many of each person's oldest rows due as the ledger has grants for their template.
pub async fn let_go(
    line: &mut Line,
    app: &str,
    pairs: &[Pair],
    granted: &[Option<Granted>],
) -> Result<u64> {
    let with_grants: Vec<(&Pair, &Granted)> = pairs
        .iter()
        .zip(granted)
        .filter_map(|(pair, granted)| Some((pair, granted.as_ref().filter(|it| it.left > 0)?)))
        .collect();
    if with_grants.is_empty() {
        return Ok(0);
    }
    let (recipients, event_types) = columns(with_grants.iter().map(|(pair, _)| *pair));
    let templates: Vec<&str> = with_grants
        .iter()
        .map(|(_, it)| it.template.as_str())
        .collect();
    let left: Vec<i64> = with_grants
        .iter()
        .map(|(_, it)| i64::from(it.left.min(MOST_AT_ONCE)))
        .collect();
    let mut connection = line.take().await?;
    let gone = answered(
        sqlx::query_scalar!(
            r#"-- outboxd grants: let go
            with granted as materialized (
                select * from unnest($2::text[], $3::text[], $4::text[], $5::bigint[]) as g (recipient, event_type, template, remaining)
            ),
            oldest as materialized (
                select o.id, g.remaining, row_number() over (partition by g.recipient, g.template order by o.id) as n
                  from granted g cross join lateral (
                       select w.id from outboxd.notification_outbox w
                        where w.app = $1 and w.awaits_grant and w.recipient = g.recipient and w.event_type = g.event_type
                          and w.next_attempt_at > statement_timestamp()
                        order by w.id limit g.remaining) o
            ),
            gone as (
                update outboxd.notification_outbox o set next_attempt_at = clock_timestamp(), awaits_grant = false
                 where o.id = any (array(select id from oldest where n <= remaining))
                   and o.awaits_grant and o.next_attempt_at > statement_timestamp()
                returning o.id
            )
            select count(*) as "gone!" from gone"#,
            app,
            &recipients as &[&str],
            &event_types as &[&str],
            &templates as &[&str],
            &left,
        )
        .fetch_one(&mut connection),
    )
    .await
    .context("let notifications go that have a grant")?;
    line.back(connection).await?;
    Ok(gone.unsigned_abs())
}

/// Ends the turn: when to ask again, behind whom the round goes on, and what was wrong. A trouble stands until a whole round
/// has met none; the third element of `grants_asked_to` is what this round has met. Returns the key of the one that stands.
pub async fn done(
    line: &mut Line,
    app: &str,
    again_in: Duration,
    behind: Option<&Pair>,
    trouble: Option<&Entry>,
) -> Result<Option<String>> {
    let behind = behind.map(|pair| vec![pair.recipient.clone(), pair.event_type.clone()]);
    let mut connection = line.take().await?;
    let standing = answered(
        sqlx::query_scalar!(
            r#"-- outboxd grants: done
            update outboxd.app_state
               set grants_ask_at = clock_timestamp() + $2::bigint * interval '1 millisecond',
                   grants_asked_to = case when $3::text[] is not null then $3 || coalesce($4, grants_asked_to[3]) end,
                   grants_trouble = coalesce($4, case when $3::text[] is null then grants_asked_to[3] else grants_trouble end)
             where app = $1
            returning grants_trouble"#,
            app,
            millis(again_in),
            behind.as_deref(),
            trouble.map(|entry| entry.key)
        )
        .fetch_optional(&mut connection),
    )
    .await
    .context("end the turn to ask for grants")?;
    line.back(connection).await?;
    Ok(standing.flatten())
}

/// Makes all of an app's waiting rows due: its target is one that nobody can ask, so each is called and settled. Many are
/// let go in parts, so that no statement takes long; what somebody holds locked is left to the next turn.
pub async fn let_all_go(line: &mut Line, app: &str) -> Result<u64> {
    let mut connection = line.take().await?;
    let mut gone = 0;
    loop {
        let done = answered(
            sqlx::query!(
                r#"-- outboxd grants: let all go
                update outboxd.notification_outbox o set next_attempt_at = clock_timestamp(), awaits_grant = false
                 where o.id = any (array(
                       select w.id from outboxd.notification_outbox w
                        where w.app = $1 and w.awaits_grant and w.next_attempt_at > statement_timestamp()
                        limit $2 for no key update skip locked))"#,
                app,
                ALL_AT_ONCE
            )
            .execute(&mut connection),
        )
        .await
        .context("let waiting notifications go")?;
        gone += done.rows_affected();
        if done.rows_affected() < ALL_AT_ONCE.unsigned_abs() {
            break;
        }
    }
    line.back(connection).await?;
    Ok(gone)
}

fn columns<'a>(pairs: impl IntoIterator<Item = &'a Pair>) -> (Vec<&'a str>, Vec<&'a str>) {
    pairs
        .into_iter()
        .map(|pair| (pair.recipient.as_str(), pair.event_type.as_str()))
        .unzip()
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_asked_about_as_a_whole() {
        let pairs = |text: &str| -> Vec<Pair> {
            text.split_whitespace()
                .map(|pair| Pair {
                    recipient: pair[..1].to_owned(),
                    event_type: pair[1..].to_owned(),
                })
                .collect()
        };
        for (found, kept, more) in [
            ("", "", false),
            ("a1 a2 b1", "a1 a2 b1", false),
            ("a1 b1 c1 d1", "a1 b1 c1", true),
            ("a1 b1 b2 b3", "a1", true),
            ("a1 a2 a3 a4", "a1 a2 a3", true),
        ] {
            assert_eq!(
                whole_people(pairs(found), 3),
                (pairs(kept), more),
                "{found}"
            );
        }
    }
}
