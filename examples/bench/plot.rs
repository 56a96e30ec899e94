//! `plot`: pictures of the runs that `--json` has kept, for the documentation.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::report::median;
use crate::svg::{self, Bar, Line};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Lines of JSON, as `--json` writes them, or the benchmark that runs one worker beside others.
    file: PathBuf,
    /// Where the pictures go.
    #[arg(long, default_value = "docs/performance")]
    into: PathBuf,
}

pub(crate) fn plot(args: &Args) -> Result<()> {
    let kept =
        fs::read_to_string(&args.file).with_context(|| format!("read {}", args.file.display()))?;
    let mut runs: Vec<Value> = kept
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()
        .with_context(|| format!("read the JSON in {}", args.file.display()))?;
    runs.iter_mut().for_each(among_others);
    let over_time = |workload, figure| series(&runs, workload, figure);
    let own = ["drain", "slow", "longtx", "history", "daemons"];
    let beside_others = ["peers-drain", "peers-slow", "peers-longtx"];
    let rates = own.into_iter().chain(beside_others).map(|workload| {
        let title = match workload.strip_prefix("peers-") {
            Some(workload) => format!("{workload}: deliveries per second, beside other workers"),
            None => format!("{workload}: deliveries per second"),
        };
        let bars = bars(&runs, workload, "rate");
        let svg = (!bars.is_empty()).then(|| svg::bars(&title, "median, least and most", &bars));
        (format!("{workload}.svg"), svg)
    });
    let (memory, claims) = (
        over_time("memory", "rss_mb_over_time"),
        over_time("longtx", "claim_ms_over_time"),
    );
    let lines = [
        ("latency.svg", latency(&runs)),
        (
            "memory.svg",
            (!memory.is_empty()).then(|| {
                svg::lines(
                    "memory: the daemon under a backlog of a million",
                    "MB resident",
                    &memory,
                )
            }),
        ),
        (
            "claims.svg",
            (!claims.is_empty()).then(|| {
                let title = "longtx: claims while an old snapshot is open";
                svg::lines(title, "ms, 99th percentile of every 10 s", &claims)
            }),
        ),
    ];
    fs::create_dir_all(&args.into)?;
    let lines = lines.map(|(name, svg)| (name.to_owned(), svg));
    for (name, svg) in rates.chain(lines) {
        if let Some(svg) = svg {
            let path = args.into.join(name);
            fs::write(&path, svg).with_context(|| format!("write {}", path.display()))?;
            eprintln!("{}", path.display());
        }
    }
    Ok(())
}

/// The other benchmark calls a run's worker its peer, and outboxd the product.
fn among_others(run: &mut Value) {
    let Some(peer) = run["peer"].as_str() else {
        return;
    };
    let peer = if peer == "product" { "outboxd" } else { peer };
    run["variant"] = peer.into();
    run["workload"] = format!("peers-{}", run["workload"].as_str().unwrap_or("")).into();
}

/// One bar per variant of a workload, groups one after the other.
fn bars(runs: &[Value], workload: &str, figure: &str) -> Vec<Bar> {
    by_variant(runs, workload, figure)
        .into_iter()
        .map(|(name, values)| Bar {
            name,
            value: median(&values).unwrap_or(0.0),
            least: values.first().copied().unwrap_or(0.0),
            most: values.last().copied().unwrap_or(0.0),
        })
        .collect()
}

/// The percentiles beside each other.
fn latency(runs: &[Value]) -> Option<String> {
    let mut all = Vec::new();
    for (figure, name) in [("p50_ms", "p50"), ("p95_ms", "p95"), ("p99_ms", "p99")] {
        let bars = bars(runs, "latency", figure);
        let several = bars.len() > 1;
        all.extend(bars.into_iter().map(|bar| Bar {
            name: if several {
                format!("{name} {}", bar.name)
            } else {
                name.to_owned()
            },
            ..bar
        }));
    }
    let title = "latency: commit acknowledged → arrival at the sink";
    (!all.is_empty()).then(|| svg::bars(title, "ms; median, least and most of the runs", &all))
}

/// One line per run.
fn series(runs: &[Value], workload: &str, figure: &str) -> Vec<Line> {
    let of_workload = runs.iter().filter(|run| run["workload"] == workload);
    of_workload
        .filter_map(|run| {
            let points = serde_json::from_value(run[figure].clone()).ok()?;
            // The points are of the whole run, whichever of its variants carries them.
            let name = run["group"].as_str().filter(|group| !group.is_empty());
            let name = name.or(run["variant"].as_str()).unwrap_or("").to_owned();
            Some(Line { name, points })
        })
        .collect()
}

/// Values ascending, in the order of the variants' first appearance.
fn by_variant(runs: &[Value], workload: &str, figure: &str) -> Vec<(String, Vec<f64>)> {
    let mut order = Vec::new();
    let mut values: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for run in runs.iter().filter(|run| run["workload"] == workload) {
        let Some(value) = run[figure].as_f64() else {
            continue;
        };
        let name = name(run);
        if !order.contains(&name) {
            order.push(name.clone());
        }
        values.entry(name).or_default().push(value);
    }
    let taken = order.into_iter().map(|name| {
        let mut values = values.remove(&name).unwrap_or_default();
        values.sort_by(f64::total_cmp);
        (name, values)
    });
    taken.collect()
}

/// The variant, with its group where that says more than which build it was.
fn name(run: &Value) -> String {
    let word = |key: &str| run[key].as_str().unwrap_or("").to_owned();
    match word("group").as_str() {
        "" | "outboxd" => word("variant"),
        group => format!("{group}: {}", word("variant")),
    }
}
