//! `start`: from the start of the process to its first call, with rows waiting. So long a restart is a gap.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::Options;
use crate::books::Books;
use crate::report::{Report, Run};
use crate::stage::Stage;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    options: Options,
}

pub(crate) async fn run(args: Args) -> Result<Report> {
    let mut report = Report::open(&args.options, "first_call_ms")?;
    let stage = Stage::put_up(&args.options).await?;
    let n = args.options.n.unwrap_or(100_000);
    let mut scenes = Vec::new();
    for program in &stage.programs {
        let mut scene = stage.scene(program).await?;
        scene.enqueue(1, n).await?;
        scene.come_to_rest().await?;
        scenes.push(scene);
    }
    for _ in 0..args.options.runs {
        for scene in &mut scenes {
            let mut run = Run::new("start", "", &scene.program.name);
            stage.sink.reset(Duration::ZERO);
            let books = Books::open(&mut scene.control).await?;
            let daemon = scene.start_daemon(args.options.slots.unwrap_or(64))?;
            let started_us = daemon.started_us;
            stage.sink.reached(1).await?;
            daemon.stop().await?;
            let calls = stage.sink.seen();
            let balance = books.close(&mut scene.control, 0, &calls).await?;
            let first = calls.first().context("no call has come")?;
            run.put("n", n as f64);
            run.put("first_call_ms", (first.at_us - started_us) as f64 / 1e3);
            run.faults.extend(balance.faults);
            report.add(run)?;
        }
    }
    for scene in scenes {
        scene.close().await?;
    }
    Ok(report)
}
