//! How long the daemon's claims take: the server's own word for each one.
//!
//! The daemon's histogram has nine buckets, which is no percentile, so the server logs the duration of every statement
//! of this database, and claims are known by the comment they begin with. Measured is what the server works on one
//! claim (the planning, which the log calls bind, and the execution) without the way there and back; polls that found
//! nothing are among them.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::PathBuf;

use anyhow::{Context, Result};
use sqlx::AssertSqlSafe;

use crate::report::{Run, percentile};
use crate::stage::Scene;

pub(crate) struct Claims {
    log: PathBuf,
    from: u64,
}

/// One claim.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timed {
    /// Its end, in seconds since 1970.
    pub(crate) at: f64,
    pub(crate) ms: f64,
}

impl Claims {
    /// From now on, for daemons that are started later.
    pub(crate) async fn listen(scene: &mut Scene<'_>) -> Result<Claims> {
        let sql = format!(
            "alter database {} set log_min_duration_statement = 0",
            scene.name
        );
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut scene.control)
            .await?;
        let log = scene.stage.cluster.log();
        let from = log.metadata().context("look at the server's log")?.len();
        Ok(Claims { log, from })
    }

    pub(crate) fn heard(&self) -> Result<Vec<Timed>> {
        let mut log = File::open(&self.log).context("read the server's log")?;
        log.seek(SeekFrom::Start(self.from))?;
        let mut claims = Vec::new();
        let mut planned: HashMap<String, f64> = HashMap::new();
        for line in BufReader::new(log).split(b'\n') {
            let line = line?;
            let line = String::from_utf8_lossy(&line);
            let Some((pid, phase, claim)) = claim(&line) else {
                continue;
            };
            match phase {
                "bind" => *planned.entry(pid.to_owned()).or_default() += claim.ms,
                "execute" => claims.push(Timed {
                    ms: claim.ms + planned.remove(pid).unwrap_or(0.0),
                    ..claim
                }),
                _ => {}
            }
        }
        Ok(claims)
    }
}

/// Of a line like `1763826761.123 4711 LOG:  duration: 0.123 ms  execute sqlx_s_1: -- outboxd claim`.
fn claim(line: &str) -> Option<(&str, &str, Timed)> {
    let line = line.strip_suffix(": -- outboxd claim")?;
    let (prefix, line) = line.split_once(" LOG:  duration: ")?;
    let (at, pid) = prefix.split_once(' ')?;
    let (ms, line) = line.split_once(" ms  ")?;
    let (phase, _name) = line.split_once(' ')?;
    let timed = Timed {
        at: at.parse().ok()?,
        ms: ms.parse().ok()?,
    };
    Some((pid, phase, timed))
}

pub(crate) fn put(run: &mut Run, claims: &[Timed]) {
    let mut ms: Vec<f64> = claims.iter().map(|claim| claim.ms).collect();
    run.put("claims", ms.len() as f64);
    let names = [
        ("claim_p50_ms", 0.5),
        ("claim_p95_ms", 0.95),
        ("claim_p99_ms", 0.99),
        ("claim_max_ms", 1.0),
    ];
    run.put_percentiles(names, &mut ms);
}

/// The 99th percentile of every ten seconds since `begun`, as points of seconds and milliseconds.
pub(crate) fn p99_over_time(claims: &[Timed], begun: f64) -> Vec<(f64, f64)> {
    let mut windows: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
    for claim in claims.iter().filter(|claim| claim.at >= begun) {
        let window = ((claim.at - begun) / 10.0) as u32;
        windows.entry(window).or_default().push(claim.ms);
    }
    windows
        .into_iter()
        .filter_map(|(window, mut ms)| {
            let p99 = percentile(&mut ms, 0.99)?;
            Some((f64::from(window) * 10.0, p99))
        })
        .collect()
}
