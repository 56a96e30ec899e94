//! `drain` and `slow`: n rows wait, one daemon starts, all are settled.
//!
//! With a sink that answers at once this shows what the daemon and the database cost; with one that takes 200 ms,
//! whether every slot is used all the time.

use std::time::Duration;

use anyhow::Result;

use crate::Options;
use crate::report::{Report, Run};
use crate::stage::{Drain, Stage};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    options: Options,
    /// The sink answers after that many milliseconds.
    #[arg(long, default_value_t = 0)]
    sink_ms: u64,
}

#[derive(Debug, clap::Args)]
pub(crate) struct SlowArgs {
    #[command(flatten)]
    options: Options,
    /// The sink answers after that many milliseconds.
    #[arg(long, default_value_t = 200)]
    sink_ms: u64,
}

pub(crate) async fn run(args: Args) -> Result<Report> {
    let drain = Drain {
        n: args.options.n.unwrap_or(200_000),
        slots: args.options.slots.unwrap_or(64),
        answers_after: Duration::from_millis(args.sink_ms),
    };
    drains("drain", &args.options, drain).await
}

pub(crate) async fn run_slow(args: SlowArgs) -> Result<Report> {
    let drain = Drain {
        n: args.options.n.unwrap_or(5_000),
        slots: args.options.slots.unwrap_or(256),
        answers_after: Duration::from_millis(args.sink_ms),
    };
    drains("slow", &args.options, drain).await
}

async fn drains(workload: &'static str, options: &Options, drain: Drain) -> Result<Report> {
    let mut report = Report::open(options, "rate")?;
    let stage = Stage::put_up(options).await?;
    for _ in 0..options.runs {
        for program in &stage.programs {
            let mut scene = stage.scene(program).await?;
            scene.enqueue(1, drain.n).await?;
            scene.come_to_rest().await?;
            let mut run = Run::new(workload, "", &program.name);
            scene.drain(drain, &mut run).await?;
            scene.close().await?;
            if let Some(ideal) = ideal(drain) {
                let rate = run.get("rate").unwrap_or(f64::NAN);
                run.put("efficiency", rate / ideal);
            }
            report.add(run)?;
        }
    }
    Ok(report)
}

/// What the slots allow: 5,000 rows at 256 slots are 19.5 waves, so a little less than this can be had.
fn ideal(drain: Drain) -> Option<f64> {
    let seconds = drain.answers_after.as_secs_f64();
    (seconds > 0.0).then(|| f64::from(drain.slots) / seconds)
}
