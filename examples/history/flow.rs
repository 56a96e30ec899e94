//! Searches beside deliveries: a real daemon delivers single inserts at a rate, and all questions are asked, mixed, at another.
//!
//! Both are open: what is late does not put off the next, and the time that a page waits for a connection counts. The
//! overview is asked for every few seconds, as one that somebody has open does. How long a delivery takes, from the moment
//! the CRM knows its commit to the arrival at the sink, is measured without searches, with them, without again, and beside
//! work that asks the database for nothing and takes a core as often, for as much time of it as a page took of the cores, the
//! database's and the desk's together: what is lost then as well is lost for want of a core.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use sqlx::{Connection as _, PgConnection};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::Args;
use crate::apart::{Apart, pin_this_thread};
use crate::daemon::Program;
use crate::desk::{Desk, Pages, Spent};
use crate::past::Past;
use crate::people::scatter;
use crate::questions::{ALL, Answers, ms};
use crate::sink::{Sink, now_us};

/// Calls at once, as a daemon has without a setting.
const SLOTS: u32 = 10;
/// Seconds before the measured ones: connections, plans and pages are warm then.
const WARM_UP: f64 = 5.0;

/// The questions but the last, which is the overview.
const SEARCHES: usize = ALL.len() - 1;

pub(crate) async fn measure(args: &Args, url: &str, desk: &Desk, past: Past) -> Result<()> {
    let mut control = PgConnection::connect(url).await?;
    let mut crm = PgConnection::connect(url).await?;
    // The past waits on: what arrives is what is inserted.
    sqlx::raw_sql("update outboxd.notification_outbox set next_attempt_at = next_attempt_at + interval '7 days'")
        .execute(&mut crm)
        .await?;
    sqlx::raw_sql("vacuum analyze outboxd.notification_outbox")
        .execute(&mut crm)
        .await?;
    let sink = Sink::start(None).await?;
    let daemon = Program::this()?.start(url, &sink.url, SLOTS)?;
    let mut flow = Flow {
        crm,
        sink,
        past,
        rate: args.deliveries,
        next: past.settled + past.waiting + 1,
    };
    tokio::try_join!(flow.deliver(WARM_UP), ask(desk, past, args, WARM_UP, None))?;
    let apart = match args.apart {
        true => Some(Apart::begin(url, daemon.pid(), desk.pid()?).await?),
        false => None,
    };
    let (mut without, mut with) = (Waits::of("without searches"), Waits::of("with"));
    let mut asked: Vec<(Answers, usize)> = ALL.iter().map(|_| Default::default()).collect();
    let mut spent = Spent::default();
    for _ in 0..args.rounds {
        without.rounds.push(flow.deliver(args.flow).await?);
        let before = desk.spent(&mut control).await?;
        let (waits, answers) = tokio::try_join!(
            flow.deliver(args.flow),
            ask(desk, past, args, args.flow, apart.as_ref())
        )?;
        spent += desk.spent(&mut control).await? - before;
        with.rounds.push(waits);
        for ((all, failed), (answers, more)) in asked.iter_mut().zip(answers) {
            all.bytes += answers.bytes;
            all.took.extend(answers.took);
            *failed += more;
        }
    }
    without.rounds.push(flow.deliver(args.flow).await?);
    let pages = asked.iter().map(|(it, _)| it.took.len()).sum::<usize>() as f64;
    let page = (spent.process + spent.sessions) / pages * 1000.0;
    let mut flows = vec![without, with];
    let of_a_page = [page];
    let plain: &[f64] = match &args.plain[..] {
        [] if apart.is_some() => &[],
        [] => &of_a_page,
        plain => plain,
    };
    for &each in plain {
        let busy = compute(
            args.searches,
            args.flow,
            Duration::from_secs_f64(each / 1000.0),
        );
        let mut waits = Waits::of(&format!("beside {each:.1} ms of plain work as often"));
        let (round, ()) = tokio::try_join!(flow.deliver(args.flow), busy)?;
        waits.rounds.push(round);
        flows.push(waits);
    }
    drop(apart);
    daemon.stop().await?;

    println!(
        "\n| {} searches/s beside {} deliveries/s | answers | failed | p50 ms | p99 ms | slowest |",
        args.searches, args.deliveries
    );
    println!("|---|---|---|---|---|---|");
    for ((_, name), (answers, failed)) in ALL.iter().zip(&mut asked) {
        answers.took.sort_unstable();
        println!(
            "| {name} | {} | {failed} | {:.1} | {:.1} | {:.1} |",
            answers.took.len(),
            answers.ms(0.5),
            answers.ms(0.99),
            answers.ms(1.0)
        );
    }
    println!(
        "\nA page took {page:.1} ms of the cores: {:.1} of the desk's process, {:.1} of its database sessions.",
        spent.process / pages * 1000.0,
        spent.sessions / pages * 1000.0
    );
    println!("\n| deliveries | n | p50 ms | p95 ms | p99 ms | slowest | p99 of each round |");
    println!("|---|---|---|---|---|---|---|");
    for waits in &flows {
        waits.say();
    }
    Ok(())
}

/// From commit to arrival, in order, round by round.
struct Waits {
    name: String,
    rounds: Vec<Vec<Duration>>,
}

impl Waits {
    fn of(name: &str) -> Waits {
        Waits {
            name: name.to_owned(),
            rounds: Vec::new(),
        }
    }

    fn say(&self) {
        let mut all = self.rounds.concat();
        all.sort_unstable();
        let p99 = |round: &Vec<Duration>| format!("{:.1}", ms(round, 0.99));
        let each: Vec<String> = self.rounds.iter().map(p99).collect();
        println!(
            "| {} | {} | {:.1} | {:.1} | {:.1} | {:.1} | {} |",
            self.name,
            all.len(),
            ms(&all, 0.5),
            ms(&all, 0.95),
            ms(&all, 0.99),
            ms(&all, 1.0),
            each.join(" ")
        );
    }
}

struct Flow {
    crm: PgConnection,
    sink: Sink,
    past: Past,
    rate: u32,
    next: u64,
}

impl Flow {
    /// For so long; says from commit to arrival, in order.
    async fn deliver(&mut self, seconds: f64) -> Result<Vec<Duration>> {
        self.sink.reset(Duration::ZERO);
        let n = (f64::from(self.rate) * seconds) as u64;
        let beginning = Instant::now();
        let mut known = HashMap::new();
        for i in 0..n {
            sleep_until(beginning + Duration::from_secs_f64(i as f64 / f64::from(self.rate))).await;
            known.insert(i64::try_from(self.next)?, self.insert().await?);
            self.next += 1;
        }
        self.sink.reached(usize::try_from(n)?).await?;
        let mut waits = Vec::new();
        for call in self.sink.seen() {
            let known_us = known.remove(&call.id).context("a call came twice")?;
            // It may arrive before the CRM has heard of its commit.
            let us = u64::try_from(call.at_us - known_us).unwrap_or(0);
            waits.push(Duration::from_micros(us));
        }
        waits.sort_unstable();
        Ok(waits)
    }

    /// Says when its commit was known. The customer is its number, by which it is known again.
    async fn insert(&mut self) -> Result<i64> {
        let it = self.past.notification(self.next);
        sqlx::query(
            "insert into outboxd.notification_outbox (event_type, aggregate_id, recipient, payload)
             values ('customer_assigned', $1, $2, $3::text::jsonb)",
        )
        .bind(it.id.to_string())
        .bind(it.recipient.to_string())
        .bind(it.payload())
        .execute(&mut self.crm)
        .await?;
        Ok(now_us())
    }
}

/// A core is busy as often, and for as long each time.
async fn compute(rate: u32, seconds: f64, each: Duration) -> Result<()> {
    let beginning = Instant::now();
    for i in 0..(f64::from(rate) * seconds) as usize {
        sleep_until(due(beginning, i, rate)).await;
        tokio::task::spawn_blocking(move || {
            let began = Instant::now();
            while began.elapsed() < each {
                std::hint::spin_loop();
            }
        });
    }
    Ok(())
}

/// When the n-th of so many a second is asked for: at any moment of its turn, for people keep no time with the inserts.
fn due(beginning: Instant, n: usize, rate: u32) -> Instant {
    let within = (scatter(n as u64) % 1000) as f64 / 1000.0;
    beginning + Duration::from_secs_f64((n as f64 + within) / f64::from(rate))
}

/// From a thread of its own, on the desk's core where that has one: who asks is none of the deliveries' business.
async fn ask(
    desk: &Desk,
    past: Past,
    args: &Args,
    seconds: f64,
    apart: Option<&Apart>,
) -> Result<Vec<(Answers, usize)>> {
    let pages = desk.pages.again()?;
    let (rate, overview) = (args.searches, args.overview);
    let core = apart.map(|apart| apart.desks.clone());
    let (tell, told) = oneshot::channel();
    std::thread::Builder::new()
        .name("asks".to_owned())
        .spawn(move || {
            let asking = || {
                if let Some(core) = &core {
                    pin_this_thread(core)?;
                }
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()?;
                runtime.block_on(ask_here(pages, past, rate, overview, seconds))
            };
            let _ = tell.send(asking());
        })?;
    told.await.context("who asks has ended")?
}

/// Every search and list in its turn, about another row each time; says of each what was answered and how often nothing was.
async fn ask_here(
    pages: Arc<Pages>,
    past: Past,
    rate: u32,
    overview: u32,
    seconds: f64,
) -> Result<Vec<(Answers, usize)>> {
    let overview_every = (overview * rate) as usize;
    let mut asking = JoinSet::new();
    let beginning = Instant::now();
    for i in 0..(f64::from(rate) * seconds) as usize {
        let due = due(beginning, i, rate);
        sleep_until(due).await;
        let overview = overview_every > 0 && i.is_multiple_of(overview_every);
        let places = [Some(i % SEARCHES), overview.then_some(SEARCHES)];
        for place in places.into_iter().flatten() {
            let pages = pages.clone();
            asking.spawn(async move {
                let bytes = ALL[place].0.ask(&pages, &past, scatter(i as u64)).await;
                (place, bytes, due.elapsed())
            });
        }
    }
    let mut asked: Vec<(Answers, usize)> = ALL.iter().map(|_| Default::default()).collect();
    while let Some(answer) = asking.join_next().await {
        let (place, bytes, took) = answer?;
        let (answers, failed) = &mut asked[place];
        match bytes {
            Ok(bytes) => {
                answers.bytes += bytes;
                answers.took.push(took);
            }
            Err(why) => {
                eprintln!("{}: {why:#}", ALL[place].1);
                *failed += 1;
            }
        }
    }
    Ok(asked)
}
