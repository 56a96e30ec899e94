//! `daemons`: one, two, four, eight processes on one database. Do they add up, or get in each other's way, and does
//! every row belong to one of them only?

use std::time::Duration;

use anyhow::Result;

use crate::Options;
use crate::books::Books;
use crate::report::{Report, Run};
use crate::stage::{Scene, Stage};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    options: Options,
    /// How many processes.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2, 4, 8])]
    daemons: Vec<u32>,
    /// The sink answers after that many milliseconds.
    #[arg(long, default_value_t = 0)]
    sink_ms: u64,
}

pub(crate) async fn run(args: Args) -> Result<Report> {
    let mut report = Report::open(&args.options, "rate")?;
    let stage = Stage::put_up(&args.options).await?;
    let n = args.options.n.unwrap_or(100_000);
    let slots = args.options.slots.unwrap_or(64);
    for _ in 0..args.options.runs {
        for program in &stage.programs {
            for &daemons in &args.daemons {
                let mut scene = stage.scene(program).await?;
                scene.enqueue(1, n).await?;
                scene.come_to_rest().await?;
                stage.sink.reset(Duration::from_millis(args.sink_ms));
                let mut run = Run::new("daemons", &program.name, &daemons.to_string());
                drain(&mut scene, n, daemons, slots, &mut run).await?;
                scene.close().await?;
                report.add(run)?;
            }
        }
    }
    Ok(report)
}

async fn drain(
    scene: &mut Scene<'_>,
    n: i64,
    daemons: u32,
    slots: u32,
    run: &mut Run,
) -> Result<()> {
    let sink = &scene.stage.sink;
    let books = Books::open(&mut scene.control).await?;
    let before = scene.meter().await?;
    let mut fleet = Vec::new();
    for _ in 0..daemons {
        fleet.push(scene.start_daemon(slots)?);
    }
    sink.reached(usize::try_from(n)?).await?;
    let (mut cpu, mut peak_rss) = (0.0, 0.0_f64);
    for daemon in fleet {
        let spent = daemon.stop().await?;
        cpu += spent.cpu;
        peak_rss = peak_rss.max(spent.peak_rss);
    }
    let after = scene.meter().await?;
    let calls = sink.seen();
    let balance = books.close(&mut scene.control, 0, &calls).await?;
    let first = calls.iter().map(|call| call.at_us).min().unwrap_or(0);
    let seconds = (balance.settled_at_us - first) as f64 / 1e6;
    run.put("n", balance.settled as f64);
    run.put("rate", balance.settled as f64 / seconds);
    run.put("daemon_us", cpu / balance.settled as f64 * 1e6);
    run.put("peak_rss_mb", peak_rss);
    after.since(&before, balance.settled, run);
    run.put("others_percent", after.others_percent(&before, cpu));
    run.put("duplicates", balance.duplicates as f64);
    run.put("lost", balance.lost as f64);
    run.faults.extend(balance.faults);
    shares(scene, daemons, run).await
}

/// A claim's token is one daemon's own: under somebody else's name it would have returned that one's row.
async fn shares(scene: &mut Scene<'_>, daemons: u32, run: &mut Run) -> Result<()> {
    let settled: Vec<i64> = sqlx::query_scalar(
        "select count(*) from outboxd.notification_delivery group by settled_by order by 1",
    )
    .fetch_all(&mut scene.control)
    .await?;
    let shared: i64 = sqlx::query_scalar(
        "select count(*) from (select from outboxd.notification_attempt
                                group by lease_token having count(distinct daemon) > 1) t",
    )
    .fetch_one(&mut scene.control)
    .await?;
    if shared > 0 {
        run.faults
            .push(format!("{shared} claims were shared by daemons"));
    }
    // Whoever got none has no line there.
    let idle = settled.len() < usize::try_from(daemons)?;
    let least = settled.first().copied().unwrap_or(0);
    run.put("least_by_one", if idle { 0.0 } else { least as f64 });
    run.put("most_by_one", settled.last().copied().unwrap_or(0) as f64);
    Ok(())
}
