//! `idle`: a daemon with nothing to do polls the database all day. What does that use?

use std::time::Duration;

use anyhow::Result;
use tokio::time::{Instant, sleep};

use crate::Options;
use crate::report::{Report, Run};
use crate::stage::Stage;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    options: Options,
}

pub(crate) async fn run(args: Args) -> Result<Report> {
    let mut report = Report::open(&args.options, "daemon_percent")?;
    let stage = Stage::put_up(&args.options).await?;
    let time = Duration::from_secs(args.options.seconds.unwrap_or(20));
    for _ in 0..args.options.runs {
        for program in &stage.programs {
            let mut run = Run::new("idle", "", &program.name);
            let mut scene = stage.scene(program).await?;
            stage.sink.reset(Duration::ZERO);
            let daemon = scene.start_daemon(args.options.slots.unwrap_or(64))?;
            // One row through all of it: what is measured is the rest of a daemon that has worked.
            scene.enqueue(1, 1).await?;
            stage.sink.reached(1).await?;
            let before = scene.meter().await?;
            let (cpu, begun) = (daemon.cpu(), Instant::now());
            sleep(time).await;
            let seconds = begun.elapsed().as_secs_f64();
            let percent = (daemon.cpu() - cpu) / seconds * 100.0;
            run.put("daemon_percent", percent);
            run.put(
                "pg_percent",
                scene.meter().await?.pg_percent(&before, seconds),
            );
            run.put("peak_rss_mb", daemon.stop().await?.peak_rss);
            scene.close().await?;
            report.add(run)?;
        }
    }
    Ok(report)
}
