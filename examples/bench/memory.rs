//! `memory`: a million rows wait and the sink is slow. Whatever is kept per waiting row, or is never given back, shows
//! as a slope.

use std::time::Duration;

use anyhow::Result;
use tokio::time::{Instant, sleep_until};

use crate::Options;
use crate::books::Books;
use crate::report::{Report, Run};
use crate::stage::Stage;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    options: Options,
    /// How long to watch.
    #[arg(long, default_value_t = 2.0)]
    minutes: f64,
    /// The sink answers after that many milliseconds.
    #[arg(long, default_value_t = 50)]
    sink_ms: u64,
}

pub(crate) async fn run(args: Args) -> Result<Report> {
    let mut report = Report::open(&args.options, "peak_rss_mb")?;
    let stage = Stage::put_up(&args.options).await?;
    let n = args.options.n.unwrap_or(1_000_000);
    for program in &stage.programs {
        let mut run = Run::new("memory", "", &program.name);
        let mut scene = stage.scene(program).await?;
        scene.enqueue(1, n).await?;
        scene.come_to_rest().await?;
        stage.sink.reset(Duration::from_millis(args.sink_ms));
        let books = Books::open(&mut scene.control).await?;
        let daemon = scene.start_daemon(args.options.slots.unwrap_or(256))?;
        stage.sink.reached(1).await?;
        let beginning = Instant::now();
        let mut points = Vec::new();
        for second in 1..=(args.minutes * 60.0) as u32 {
            sleep_until(beginning + Duration::from_secs(1) * second).await;
            points.push((f64::from(second), daemon.rss()));
        }
        let called = stage.sink.count();
        let seconds = beginning.elapsed().as_secs_f64();
        let spent = daemon.stop().await?;
        let calls = stage.sink.seen();
        let balance = books.close(&mut scene.control, 0, &calls).await?;
        scene.close().await?;

        run.put("n", n as f64);
        run.put("rate", called as f64 / seconds);
        // What it has taken when everything has been used once, and in the end.
        let settled = points.get(points.len() / 10).map_or(f64::NAN, |p| p.1);
        run.put("first_rss_mb", settled);
        run.put("last_rss_mb", points.last().map_or(f64::NAN, |p| p.1));
        run.put("peak_rss_mb", spent.peak_rss);
        run.put("duplicates", balance.duplicates as f64);
        run.put("lost", balance.lost as f64);
        run.put_series("rss_mb_over_time", points);
        run.faults.extend(balance.faults);
        report.add(run)?;
    }
    Ok(report)
}
