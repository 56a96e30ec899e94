//! The scripted run: 200 assignments through the four endpoints, in six acts, with a fault in most.
//!
//! Everything is drawn from one seed, and every assignment is made over HTTP as a CRM's own page would
//! make it. The verdict at the end comes from two ledgers, the CRM's and the phones' ([`crate::books`]);
//! the daemon has no say in it.

mod dispatcher;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde::Serialize;
use serde_json::json;
use tokio::time::sleep;
use uuid::Uuid;

use dispatcher::Dispatcher;

use crate::books::Counts;
use crate::stage::Stage;
use crate::{Ending, crm, say};

/// From the last assignment on. Longer than the longest wait the faults can cause.
const PATIENCE: Duration = Duration::from_secs(90);

const ORDINARY: [&str; 6] = [
    "li-na",
    "wang-wei",
    "zhang-min",
    "liu-yang",
    "chen-jing",
    "zhao-lei",
];
const DIFFICULT: [&str; 5] = [
    crm::REFUSES,
    "slow-800ms.guo-fang",
    "once-http-500.lin-feng",
    "once-reset-after-body.he-jun",
    "once-lost-reply.ma-xin",
];

pub(crate) async fn play(stage: &Stage, seed: u64) -> Result<Ending> {
    eprintln!("demo: seed {seed}");
    let dispatcher = Dispatcher::new(stage, seed).await?;
    let mut script = Script {
        stage,
        dispatcher,
        undisturbed: HashSet::new(),
    };
    let played = script.acts().await;
    if let Err(why) = &played {
        eprintln!("demo: the script was not played to its end: {why:#}");
    }
    // Whatever happened, the ledgers tell how it stands.
    let as_promised = script.verdict().await?;
    Ok(if as_promised && played.is_ok() {
        Ending::Good
    } else {
        Ending::Broken
    })
}

struct Script<'a> {
    stage: &'a Stage,
    dispatcher: Dispatcher<'a>,
    /// The notifications of the first act: nothing was broken then.
    undisturbed: HashSet<Uuid>,
}

impl Script<'_> {
    async fn acts(&mut self) -> Result<()> {
        self.a_quiet_morning().await?;
        self.difficult_people().await?;
        self.a_revoked_token().await?;
        self.wechat_is_down().await?;
        self.kill_minus_nine().await?;
        self.server_errors().await?;
        self.settle().await
    }

    /// 70 assignments, 50 of them in one transaction, and nothing is broken.
    async fn a_quiet_morning(&mut self) -> Result<()> {
        eprintln!("demo: a quiet morning: a batch of 50 in one transaction, then 20 one by one");
        for _ in 0..10 {
            self.dispatcher.assign_one(&ORDINARY).await?;
        }
        self.dispatcher.assign_batch(50, &ORDINARY).await?;
        for _ in 0..10 {
            self.dispatcher.assign_one(&ORDINARY).await?;
        }
        self.settle().await?;
        self.undisturbed = self.dispatcher.committed.keys().copied().collect();
        Ok(())
    }

    /// 40 assignments, about half of them to people with their own misfortunes.
    async fn difficult_people(&mut self) -> Result<()> {
        eprintln!(
            "demo: difficult people: no subscription, slow, answers lost on the way, connections cut"
        );
        // Each of them comes up, whatever the seed says. The rest are mixed with ordinary people: where
        // most calls break, WeChat is not difficult but down, and that is another act.
        for person in DIFFICULT {
            self.dispatcher.assign_one(&[person]).await?;
        }
        let everybody = [&ORDINARY[..], &DIFFICULT[..]].concat();
        for _ in DIFFICULT.len()..40 {
            self.dispatcher.assign_one(&everybody).await?;
        }
        Ok(())
    }

    /// 20 assignments; in the middle of them somebody else's server refreshes the token by force.
    async fn a_revoked_token(&mut self) -> Result<()> {
        eprintln!("demo: the access token is revoked in the middle");
        for n in 0..20 {
            if n == 10 {
                self.stage
                    .phones
                    .switch(&json!({"revoke_tokens": true}))
                    .await?;
            }
            self.dispatcher.assign_one(&ORDINARY).await?;
        }
        Ok(())
    }

    /// 20 assignments while nobody answers; five customers change hands twice meanwhile.
    async fn wechat_is_down(&mut self) -> Result<()> {
        eprintln!(
            "demo: WeChat is down: 10 taken from the public pool, 5 assigned twice while nobody answers"
        );
        self.stage.phones.switch(&json!({"down": true})).await?;
        self.dispatcher.assign_from_pool(10, &ORDINARY).await?;
        for _ in 0..5 {
            let customer = self.dispatcher.next_customer()?;
            let [first, second] = [crm::REFUSES, "li-na"];
            self.dispatcher.assign_this(customer, first).await?;
            self.dispatcher.assign_this(customer, second).await?;
        }
        self.dispatcher.pause(1_500..2_500).await;
        self.stage.phones.switch(&json!({"down": false})).await?;
        Ok(())
    }

    /// 30 assignments; the daemon is killed with calls in flight and started again a second later.
    async fn kill_minus_nine(&mut self) -> Result<()> {
        eprintln!("demo: kill -9 with calls in flight; a second daemon is started a second later");
        // What is still waiting from the acts before would keep the slots from filling.
        self.settle().await?;
        self.dispatcher
            .assign_batch(20, &["slow-800ms.guo-fang"])
            .await?;
        let in_flight = self.wait_for_calls_in_flight().await?;
        self.stage.daemon.kill().await?;
        eprintln!("demo:   killed with {in_flight} calls in flight");
        for _ in 0..10 {
            self.dispatcher.assign_one(&ORDINARY).await?;
        }
        self.dispatcher.pause(700..1_300).await;
        self.stage.daemon.start().await
    }

    /// 20 assignments; during the first ten every answer is HTTP 500.
    async fn server_errors(&mut self) -> Result<()> {
        eprintln!("demo: HTTP 500 for everybody, for a moment");
        self.stage.phones.switch(&json!({"http_500": true})).await?;
        for _ in 0..10 {
            self.dispatcher.assign_one(&ORDINARY).await?;
        }
        self.dispatcher.pause(500..1_000).await;
        self.stage
            .phones
            .switch(&json!({"http_500": false}))
            .await?;
        self.dispatcher.assign_from_pool(10, &ORDINARY).await
    }

    /// Waits until every notification is settled, or patience ends.
    async fn settle(&self) -> Result<()> {
        let begun = Instant::now();
        loop {
            let counts = self.stage.books.lock().await.turn().await?;
            if counts.settled + counts.lost >= counts.assigned {
                return Ok(());
            }
            if self.stage.daemon.ended_by_itself().await {
                bail!(
                    "the daemon ended by itself; its log: {}",
                    self.stage.daemon.log().display()
                );
            }
            if begun.elapsed() > PATIENCE {
                bail!("not everything was settled within {PATIENCE:?}");
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Stops the daemon, so that nothing more can be sent, and compares the two ledgers.
    async fn verdict(&self) -> Result<bool> {
        self.stage.daemon.stop().await?;
        sleep(Duration::from_secs(1)).await;
        let mut books = self.stage.books.lock().await;
        let counts = books.turn().await?;
        for finding in &books.findings {
            eprintln!("demo: {finding}");
        }
        for open in books.still_open().await? {
            eprintln!("demo: lost: {open}");
        }
        self.report(counts).await
    }

    async fn report(&self, counts: Counts) -> Result<bool> {
        let Counts {
            assigned,
            settled,
            delivered,
            superseded,
            refused,
            messages,
            twice,
            lost,
        } = counts;
        // What is not settled by now is not delivered, whatever may become of it.
        let lost = lost.max(assigned - settled);
        let all = self.latencies(|_| true).await?;
        let undisturbed = self.latencies(|key| self.undisturbed.contains(key)).await?;
        eprintln!(
            "demo: {delivered} delivered, {refused} refused or given up, {superseded} superseded"
        );
        eprintln!(
            "demo: commit to phone, all {}: p50 {} ms, p99 {} ms; the {} of the quiet morning in the line below",
            all.len(),
            percentile(&all, 50),
            percentile(&all, 99),
            undisturbed.len(),
        );
        let summary = Summary {
            assigned,
            settled,
            delivered,
            messages,
            twice,
            lost,
            p50_ms: percentile(&undisturbed, 50),
            p99_ms: percentile(&undisturbed, 99),
        };
        say(format_args!("{}", serde_json::to_string(&summary)?));
        Ok(twice == 0 && lost == 0 && settled == assigned)
    }

    /// From the commit, by the CRM's clock, to the phone, in milliseconds, ascending.
    async fn latencies(&self, of: impl Fn(&Uuid) -> bool) -> Result<Vec<i64>> {
        let mut took: Vec<i64> = self
            .stage
            .phones
            .messages(0)
            .await?
            .iter()
            .filter(|message| of(&message.key))
            .filter_map(|message| {
                Some(
                    (message.at - *self.dispatcher.committed.get(&message.key)?).num_milliseconds(),
                )
            })
            .collect();
        took.sort_unstable();
        Ok(took)
    }

    async fn wait_for_calls_in_flight(&self) -> Result<i64> {
        let begun = Instant::now();
        loop {
            let in_flight: i64 = sqlx::query_scalar(
                "select count(*) from outboxd.notification_outbox
                  where lease_until > clock_timestamp() and recipient like 'slow-%'",
            )
            .fetch_one(&self.stage.pool)
            .await?;
            if in_flight >= 5 || begun.elapsed() > Duration::from_secs(5) {
                return Ok(in_flight);
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// The run's last line.
#[derive(Serialize)]
struct Summary {
    assigned: u64,
    settled: u64,
    delivered: u64,
    messages: u64,
    twice: u64,
    lost: u64,
    /// From the commit to the phone, over the first act.
    p50_ms: i64,
    p99_ms: i64,
}

/// Nearest rank; 0 of nothing.
fn percentile(ascending: &[i64], p: usize) -> i64 {
    let rank = (ascending.len() * p).div_ceil(100);
    ascending.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}
