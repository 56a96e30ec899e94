//! `history`: a service that has run for months. Ten million settled rows with their attempts, a million due ones and
//! a hundred thousand scheduled ones; a part of the due ones is drained, beside a service without a past.

use std::time::Duration;

use anyhow::{Context, Result};
use sqlx::PgConnection;

use crate::Options;
use crate::claims::{self, Claims};
use crate::report::{Report, Run};
use crate::stage::{Drain, Scene, Stage};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    options: Options,
    /// Settled rows, over several months.
    #[arg(long, default_value_t = 10_000_000)]
    settled: i64,
    #[arg(long, default_value_t = 1_000_000)]
    due: i64,
    #[arg(long, default_value_t = 100_000)]
    scheduled: i64,
}

/// This month's partitions are made by the migrations; a service of five months has four older ones.
const MONTHS: &str = "\
    do $$
    declare month timestamptz := date_trunc('month', now(), 'UTC'); parent text;
    begin
        for n in 1..4 loop
            foreach parent in array array['notification_delivery', 'notification_attempt'] loop
                execute format('create table outboxd.%I partition of outboxd.%I for values from (%L) to (%L)',
                               parent || to_char(month - make_interval(months => n), '_YYYY_MM'), parent,
                               month - make_interval(months => n), month - make_interval(months => n - 1));
            end loop;
        end loop;
    end $$";

/// Settled evenly over 140 days, the last an hour ago; one in two hundred is dead.
const DELIVERIES: &str = "\
    insert into outboxd.notification_delivery
           (id, key, app, event_type, aggregate_type, aggregate_id, recipient, payload, priority, attempts, lease_epoch,
            format_version, created_at, created_by, status, reason, may_have_arrived, settled_at, settled_by)
    select i, gen_random_uuid(), 'default', 'customer_assigned', 'customer', (i % 2000000)::text, (1000 + i % 500)::text,
           jsonb_build_object('customerName', '李女士', 'phone', '13800138000', 'source', 'mini program',
                              'assignedBy', 'team lead', 'assignedAt', '2026-11-22 10:00'),
           2, 1, 0, 1, at, 'crm', case when i % 200 = 0 then 'dead' else 'delivered' end, 'accepted', false, at, 'daemon-1'
      from generate_series($1, $2) i,
           lateral (select now() - interval '1 hour' - interval '140 days' * (1 - i / $3::float8)) t (at)";
const ATTEMPTS: &str = "\
    insert into outboxd.notification_attempt
           (notification_id, attempt, app, lease_token, daemon, started_at, ended_at, phase, outcome, sentence, latency_ms)
    select i, 1, 'default', gen_random_uuid(), 'daemon-1', at - interval '200 ms', at, 'answered',
           case when i % 200 = 0 then 'failed' else 'delivered' end, 'accepted', 200
      from generate_series($1, $2) i,
           lateral (select now() - interval '1 hour' - interval '140 days' * (1 - i / $3::float8)) t (at)";

pub(crate) async fn run(args: Args) -> Result<Report> {
    let mut report = Report::open(&args.options, "rate")?;
    let stage = Stage::put_up(&args.options).await?;
    let drain = Drain {
        n: args.options.n.unwrap_or(100_000),
        slots: args.options.slots.unwrap_or(64),
        answers_after: Duration::ZERO,
    };
    anyhow::ensure!(
        args.due >= drain.n * i64::from(args.options.runs),
        "--due must be enough for all runs of --n rows"
    );
    for program in &stage.programs {
        let mut services = Vec::new();
        for settled in [0, args.settled] {
            let mut scene = stage.scene(program).await?;
            fill(&mut scene, settled)
                .await
                .context("fill the history")?;
            scene.enqueue(settled + 1, args.due).await?;
            schedule(&mut scene, settled + args.due + 1, args.scheduled).await?;
            scene.come_to_rest().await?;
            services.push((format!("{settled} settled"), scene));
        }
        for _ in 0..args.options.runs {
            for (variant, scene) in &mut services {
                let heard = Claims::listen(scene).await?;
                let mut run = Run::new("history", &program.name, variant);
                scene.drain(drain, &mut run).await?;
                claims::put(&mut run, &heard.heard()?);
                report.add(run)?;
            }
        }
        for (_, scene) in services {
            scene.close().await?;
        }
    }
    Ok(report)
}

async fn fill(scene: &mut Scene<'_>, settled: i64) -> Result<()> {
    sqlx::raw_sql(MONTHS).execute(&mut scene.control).await?;
    if settled == 0 {
        return Ok(());
    }
    let mut second = scene.stage.cluster.connect(&scene.name).await?;
    tokio::try_join!(
        insert(&mut scene.control, DELIVERIES, settled),
        insert(&mut second, ATTEMPTS, settled),
    )?;
    // What comes next is newer than all of it.
    sqlx::query("select setval(pg_get_serial_sequence('outboxd.notification_outbox', 'id'), $1)")
        .bind(settled)
        .execute(&mut scene.control)
        .await?;
    sqlx::raw_sql("vacuum analyze")
        .execute(&mut scene.control)
        .await?;
    Ok(())
}

async fn insert(connection: &mut PgConnection, sql: &'static str, n: i64) -> Result<()> {
    const AT_ONCE: usize = 500_000;
    for first in (1..=n).step_by(AT_ONCE) {
        sqlx::query(sql)
            .bind(first)
            .bind((first + AT_ONCE as i64 - 1).min(n))
            .bind(n as f64)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Rows that wait for next week.
async fn schedule(scene: &mut Scene<'_>, first: i64, n: i64) -> Result<()> {
    scene.enqueue(first, n).await?;
    sqlx::query(
        "update outboxd.notification_outbox set next_attempt_at = now() + interval '7 days'
          where aggregate_id::bigint >= $1",
    )
    .bind(first)
    .execute(&mut scene.control)
    .await?;
    sqlx::raw_sql("vacuum outboxd.notification_outbox")
        .execute(&mut scene.control)
        .await?;
    Ok(())
}
