//! The scripted run: 200 assignments through the four endpoints, in six acts, with a fault in most.
//!
//! Everything is drawn from one seed, and every assignment is made over HTTP as a CRM's own page would
//! make it. The verdict at the end comes from two ledgers, the CRM's and the phones' ([`crate::books`]);
//! the daemon has no say in it.

use std::collections::{HashMap, VecDeque};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, Utc};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tokio::time::sleep;
use uuid::Uuid;

use crate::books::Counts;
use crate::crm::{self, Assigned, Owner};
use crate::say;
use crate::stage::Stage;

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
    "fail-43101.zhou-ting",
    "slow-800ms.guo-fang",
    "once-http-500.lin-feng",
    "once-reset-after-body.he-jun",
    "once-lost-reply.ma-xin",
];

pub(crate) async fn play(stage: &Stage, seed: u64) -> Result<ExitCode> {
    eprintln!("demo: seed {seed}");
    let mut script = Script::open(stage, seed).await?;
    script.a_quiet_morning().await?;
    script.difficult_people().await?;
    script.a_revoked_token().await?;
    script.wechat_is_down().await?;
    script.kill_minus_nine().await?;
    script.server_errors().await?;
    script.settle().await?;
    script.verdict().await
}

struct Script<'a> {
    stage: &'a Stage,
    rng: StdRng,
    /// Nobody's yet.
    customers: VecDeque<i64>,
    /// When each notification's transaction had committed, by the CRM's clock.
    committed: HashMap<Uuid, DateTime<Utc>>,
    /// The notifications of the first act: nothing was broken then.
    undisturbed: Vec<Uuid>,
}

impl<'a> Script<'a> {
    /// Fresh customers for this run, so that it can be played on a used database.
    async fn open(stage: &'a Stage, seed: u64) -> Result<Script<'a>> {
        let customers = crm::new_leads(&stage.pool, 200, Owner::Nobody)
            .await?
            .into();
        let rng = StdRng::seed_from_u64(seed);
        Ok(Script {
            stage,
            rng,
            customers,
            committed: HashMap::new(),
            undisturbed: Vec::new(),
        })
    }

    /// 70 assignments, 50 of them in one transaction, and nothing is broken.
    async fn a_quiet_morning(&mut self) -> Result<()> {
        self.act("a quiet morning: a batch of 50 in one transaction, then 20 one by one");
        for _ in 0..10 {
            self.assign_one(&ORDINARY).await?;
        }
        self.assign_batch(50, &ORDINARY).await?;
        for _ in 0..10 {
            self.assign_one(&ORDINARY).await?;
        }
        self.settle().await?;
        self.undisturbed = self.committed.keys().copied().collect();
        Ok(())
    }

    /// 40 assignments to people with their own misfortunes.
    async fn difficult_people(&mut self) -> Result<()> {
        self.act(
            "difficult people: no subscription, slow, answers lost on the way, connections cut",
        );
        for n in 0..40 {
            // Each of them comes up, whatever the seed says.
            match DIFFICULT.get(n) {
                Some(person) => self.assign_one(&[person]).await?,
                None => self.assign_one(&DIFFICULT).await?,
            }
        }
        Ok(())
    }

    /// 20 assignments; in the middle of them somebody else's server refreshes the token by force.
    async fn a_revoked_token(&mut self) -> Result<()> {
        self.act("the access token is revoked in the middle");
        for n in 0..20 {
            if n == 10 {
                self.stage
                    .phones
                    .switch(&json!({"revoke_tokens": true}))
                    .await?;
            }
            self.assign_one(&ORDINARY).await?;
        }
        Ok(())
    }

    /// 20 assignments while nobody answers; five customers change hands twice meanwhile.
    async fn wechat_is_down(&mut self) -> Result<()> {
        self.act(
            "WeChat is down: 10 taken from the public pool, 5 assigned twice while nobody answers",
        );
        self.stage.phones.switch(&json!({"down": true})).await?;
        self.assign_from_pool(10, &ORDINARY).await?;
        for _ in 0..5 {
            let customer = self.customers.pop_front().context("no customers left")?;
            let [first, second] = ["fail-43101.zhou-ting", "li-na"];
            self.assign_this(customer, first).await?;
            self.assign_this(customer, second).await?;
        }
        self.pause(1_500..2_500).await;
        self.stage.phones.switch(&json!({"down": false})).await?;
        Ok(())
    }

    /// 30 assignments; the daemon is killed with calls in flight and started again a second later.
    async fn kill_minus_nine(&mut self) -> Result<()> {
        self.act("kill -9 with calls in flight; a second daemon is started a second later");
        // What is still waiting from the acts before would keep the slots from filling.
        self.settle().await?;
        self.assign_batch(20, &["slow-800ms.guo-fang"]).await?;
        let in_flight = self.wait_for_calls_in_flight().await?;
        self.stage.daemon.kill().await?;
        eprintln!("demo:   killed with {in_flight} calls in flight");
        for _ in 0..10 {
            self.assign_one(&ORDINARY).await?;
        }
        self.pause(700..1_300).await;
        self.stage.daemon.start().await
    }

    /// 20 assignments; during the first ten every answer is HTTP 500.
    async fn server_errors(&mut self) -> Result<()> {
        self.act("HTTP 500 for everybody, for a moment");
        self.stage.phones.switch(&json!({"http_500": true})).await?;
        for _ in 0..10 {
            self.assign_one(&ORDINARY).await?;
        }
        self.pause(500..1_000).await;
        self.stage
            .phones
            .switch(&json!({"http_500": false}))
            .await?;
        self.assign_from_pool(10, &ORDINARY).await
    }

    /// Waits until every notification is settled, or patience ends.
    async fn settle(&mut self) -> Result<()> {
        let begun = Instant::now();
        loop {
            let counts = self.stage.books.lock().await.turn().await?;
            if counts.settled + counts.lost >= counts.assigned || begun.elapsed() > PATIENCE {
                return Ok(());
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Stops the daemon, so that nothing more can be sent, and compares the two ledgers.
    async fn verdict(&mut self) -> Result<ExitCode> {
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

    async fn report(&self, counts: Counts) -> Result<ExitCode> {
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
            "demo: commit to phone, all {}: p50 {} ms, p99 {} ms; the {} of the quiet morning: see below",
            all.len(),
            percentile(&all, 50),
            percentile(&all, 99),
            undisturbed.len(),
        );
        say(format_args!(
            "{}",
            line_of_json(&[
                ("assigned", json!(assigned)),
                ("settled", json!(settled)),
                ("delivered", json!(delivered)),
                ("messages", json!(messages)),
                ("twice", json!(twice)),
                ("lost", json!(lost)),
                ("p50_ms", json!(percentile(&undisturbed, 50))),
                ("p99_ms", json!(percentile(&undisturbed, 99))),
            ])
        ));
        let as_promised = twice == 0 && lost == 0 && settled == assigned;
        Ok(if as_promised {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
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
                Some((message.at - *self.committed.get(&message.key)?).num_milliseconds())
            })
            .collect();
        took.sort_unstable();
        Ok(took)
    }

    async fn assign_one(&mut self, people: &[&str]) -> Result<()> {
        let customer = self.customers.pop_front().context("no customers left")?;
        let person = self.somebody(people)?;
        self.assign_this(customer, person).await?;
        self.pause(5..40).await;
        Ok(())
    }

    /// A coin decides whether it was done on the web or in the mini program.
    async fn assign_this(&mut self, customer: i64, person: &str) -> Result<()> {
        let place = if self.rng.random() {
            "customers/miniprogram"
        } else {
            "customers"
        };
        let path = format!("/api/{place}/{customer}/assign");
        self.send(
            reqwest::Method::PATCH,
            &path,
            &json!({"assignedTo": person, "assignedBy": "script"}),
        )
        .await
    }

    async fn assign_batch(&mut self, size: usize, people: &[&str]) -> Result<()> {
        let customers: Vec<i64> = self.customers.drain(..size).collect();
        let body = json!({"customerIds": customers, "assignedTo": self.somebody(people)?, "assignedBy": "script"});
        self.send(reqwest::Method::POST, "/api/customers/batch-assign", &body)
            .await
    }

    async fn assign_from_pool(&mut self, size: usize, people: &[&str]) -> Result<()> {
        let customers: Vec<i64> = self.customers.drain(..size).collect();
        let body = json!({"customerIds": customers, "assignedTo": self.somebody(people)?, "assignedBy": "script"});
        self.send(
            reqwest::Method::POST,
            "/api/customers/public-pool/assign",
            &body,
        )
        .await
    }

    async fn send(&mut self, method: reqwest::Method, path: &str, body: &Value) -> Result<()> {
        let request = self
            .stage
            .http
            .request(method, format!("{}{path}", self.stage.url()))
            .header("content-type", "application/json")
            .body(body.to_string());
        let response = request.send().await.context("call the CRM")?;
        let status = response.status();
        let answer = response.bytes().await?;
        ensure!(
            status.is_success(),
            "{path}: {status}: {}",
            String::from_utf8_lossy(&answer)
        );
        let answer: Assigned = serde_json::from_slice(&answer)?;
        for line in answer.assigned {
            self.committed
                .insert(line.notification_key, answer.committed_at);
        }
        Ok(())
    }

    fn somebody<'p>(&mut self, people: &[&'p str]) -> Result<&'p str> {
        people
            .choose(&mut self.rng)
            .copied()
            .context("nobody to assign to")
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

    async fn pause(&mut self, ms: std::ops::Range<u64>) {
        sleep(Duration::from_millis(self.rng.random_range(ms))).await;
    }

    fn act(&self, what: &str) {
        eprintln!("demo: {what}");
    }
}

/// Nearest rank; 0 of nothing.
fn percentile(ascending: &[i64], p: usize) -> i64 {
    let rank = (ascending.len() * p).div_ceil(100);
    ascending.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

/// An object whose keys stand in the order given.
fn line_of_json(pairs: &[(&str, Value)]) -> String {
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(key, value)| format!("\"{key}\":{value}"))
        .collect();
    format!("{{{}}}", pairs.join(","))
}
