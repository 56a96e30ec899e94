//! The verdict, from WeChat's ledger and the tables: messages per key, what was lost, and by what each unknown outcome
//! was resolved.

use anyhow::Result;
use wechat_sim::Ledger;

use crate::crowd::{Fate, fate_of};
use crate::storm::Aftermath;
use crate::{Args, Receipts};

/// A settled notification.
#[derive(sqlx::FromRow)]
struct Settled {
    key: String,
    recipient: String,
    status: String,
    reason: String,
    may_have_arrived: bool,
    /// An attempt of it ended without an answer, or its daemon died.
    was_unknown: bool,
}

#[derive(Debug, Default)]
struct Tally {
    settled: u64,
    delivered: u64,
    refused: u64,
    quarantined: u64,
    unknown: u64,
    by_inquire: u64,
    by_seal: u64,
    by_calling_again: u64,
    shown: u64,
    unresolved: u64,
    lost: u64,
    faults: Vec<String>,
}

/// Prints the figures. Whether the run kept what is promised.
pub(crate) async fn judge(args: &Args, aftermath: &Aftermath) -> Result<bool> {
    let settled: Vec<Settled> = sqlx::query_as(
        "select d.key::text, d.recipient, d.status, d.reason, d.may_have_arrived,
                exists (select from outboxd.notification_attempt a
                         where a.notification_id = d.id and a.outcome = 'unknown') as was_unknown
           from outboxd.notification_delivery d",
    )
    .fetch_all(&aftermath.pool)
    .await?;
    let lapsed: i64 = sqlx::query_scalar(
        "select count(*) from outboxd.notification_attempt where outcome = 'unknown' and phase = 'lapsed'",
    )
    .fetch_one(&aftermath.pool)
    .await?;
    let ledger = aftermath.sim.ledger();
    let mut tally = Tally::default();
    for row in &settled {
        tally.count(row, &ledger, args.receipts);
    }
    let enqueued = args.rows + aftermath.calm;
    tally.lost += u64::from(enqueued).saturating_sub(tally.settled);
    let (most, extra) = per_key(&ledger);
    print(&tally, aftermath, &ledger, enqueued, lapsed);
    say(format_args!(
        "messages={} most_per_key={most} twice={} duplicates_delivered={extra} duplicate_rate={:.3}%",
        ledger.messages().len(),
        ledger.twice().len(),
        100.0 * extra as f64 / f64::from(enqueued),
    ));
    for fault in tally.faults.iter().take(20) {
        eprintln!("chaos: {fault}");
    }
    let kept = tally.lost == 0 && tally.unresolved == 0 && aftermath.kills > 0;
    Ok(match args.receipts {
        Receipts::On => kept && most <= 1,
        // Without receipts nothing is promised but that the difference is seen.
        Receipts::Off => extra > 0,
    })
}

/// The most messages of one key, and how many there are beyond the first of each.
fn per_key(ledger: &Ledger) -> (usize, usize) {
    ledger.keys().fold((0, 0), |(most, extra), (_, _, n)| {
        (most.max(n), extra + n.saturating_sub(1))
    })
}

fn print(tally: &Tally, aftermath: &Aftermath, ledger: &Ledger, enqueued: u32, lapsed: i64) {
    let answered = |kind: &str, words: &str| {
        let is_it = |call: &&std::sync::Arc<wechat_sim::Call>| {
            call.kind == kind && call.answered.as_deref() == Some(words)
        };
        ledger.calls().iter().filter(is_it).count()
    };
    let share = |part: u64| 100.0 * part as f64 / tally.unknown.max(1) as f64;
    say(format_args!(
        "seed={} took_s={} kills={} lapsed_attempts={lapsed} calls={}",
        aftermath.seed,
        aftermath.took.as_secs(),
        aftermath.kills,
        ledger.calls().len(),
    ));
    say(format_args!(
        "enqueued={enqueued} settled={} delivered={} refused={} quarantined={} lost={}",
        tally.settled, tally.delivered, tally.refused, tally.quarantined, tally.lost,
    ));
    say(format_args!(
        "duplicates_suppressed: second_calls={} found_by_inquire={} found_by_seal={}",
        answered("notify", "sent before"),
        answered("inquire", "sent"),
        answered("seal", "sent"),
    ));
    say(format_args!(
        "unknown={} by_inquire={} ({:.1}%) by_seal={} ({:.1}%) by_calling_again={} ({:.1}%) shown_as_may_have_arrived={} ({:.1}%) unresolved={}",
        tally.unknown,
        tally.by_inquire,
        share(tally.by_inquire),
        tally.by_seal,
        share(tally.by_seal),
        tally.by_calling_again,
        share(tally.by_calling_again),
        tally.shown,
        share(tally.shown),
        tally.unresolved,
    ));
}

impl Tally {
    fn count(&mut self, row: &Settled, ledger: &Ledger, receipts: Receipts) {
        self.settled += 1;
        let messages = ledger.messages_of(&row.key).len();
        let is_delivered = row.status == "delivered";
        self.delivered += u64::from(is_delivered);
        if !is_delivered && !row.may_have_arrived {
            self.refused += 1;
        }
        if let Some(lie) = self.lie(row, messages, receipts) {
            self.lost += 1;
            let Settled {
                key,
                recipient,
                status,
                reason,
                ..
            } = row;
            self.faults.push(format!(
                "{lie}: {key} of {recipient} is {status} ({reason}) with {messages} messages"
            ));
        }
        if row.was_unknown {
            self.unknown += 1;
            *self.resolver(row, ledger) += 1;
        }
    }

    /// What of it is not the truth, or not what was owed.
    fn lie(&mut self, row: &Settled, messages: usize, receipts: Receipts) -> Option<&'static str> {
        match (row.status.as_str(), row.may_have_arrived) {
            ("delivered", _) if messages == 0 => Some("called delivered, and on no phone"),
            ("delivered", _) => None,
            (_, true) => None,
            // Without receipts a seal proves nothing, and nobody says it does.
            (_, false) if messages > 0 && receipts == Receipts::On => {
                Some("called not sent, and on a phone")
            }
            _ if row.reason == "kills_worker" => {
                // Three daemons died with it in flight: given up, and shown with that reason.
                self.quarantined += 1;
                None
            }
            _ if fate_of(&row.recipient) == Fate::Message => {
                Some("given up, though the person takes messages")
            }
            _ => None,
        }
    }

    /// By what its unknown outcome was resolved.
    fn resolver(&mut self, row: &Settled, ledger: &Ledger) -> &mut u64 {
        if row.may_have_arrived {
            return &mut self.shown;
        }
        let calls = ledger.calls_of(&row.key);
        let was = |kind: &str, words: &[&str]| {
            calls.iter().any(|call| {
                let said = call.answered.as_deref().unwrap_or("");
                call.kind == kind && words.iter().any(|word| said.starts_with(word))
            })
        };
        if was("seal", &["sent", "sealed"]) {
            &mut self.by_seal
        } else if was("inquire", &["sent", "not_seen", "refused", "sealed"]) {
            &mut self.by_inquire
        } else if was("notify", &["sent", "refused"]) {
            &mut self.by_calling_again
        } else {
            self.faults
                .push(format!("unresolved: {} of {}", row.key, row.recipient));
            &mut self.unresolved
        }
    }
}

/// The one place that writes to standard output: the figures.
#[allow(clippy::print_stdout, reason = "the figures are what was asked for")]
fn say(words: std::fmt::Arguments<'_>) {
    println!("{words}");
}
