//! The figures: one line of JSON per run for machines, one table per workload for people.
//!
//! A table shows medians over the runs, and for what a workload is about also the least and the most, so that noise
//! is seen. Every other variant is compared with the first one of its group.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context, Result};
use chrono::{SecondsFormat, Utc};
use comfy_table::{Table, presets};
use serde::Serialize;

use crate::Options;

/// Name in the JSON, head of the column, digits; in the order of the columns.
const COLUMNS: &[(&str, &str, usize)] = &[
    ("rate", "per s", 0),
    ("efficiency", "of ideal", 2),
    ("p50_ms", "p50 ms", 2),
    ("p95_ms", "p95 ms", 2),
    ("p99_ms", "p99 ms", 2),
    ("max_ms", "max ms", 1),
    ("first_call_ms", "first call ms", 0),
    ("insert_p50_ms", "insert p50 ms", 2),
    ("insert_p99_ms", "insert p99 ms", 2),
    ("claim_p50_ms", "claim p50 ms", 2),
    ("claim_p99_ms", "claim p99 ms", 2),
    ("claim_max_ms", "claim max ms", 1),
    ("claims", "claims", 0),
    ("daemon_us", "daemon µs", 1),
    ("pg_us", "PostgreSQL µs", 1),
    ("sink_us", "sink µs", 1),
    ("client_us", "client µs", 1),
    ("daemon_percent", "daemon % of a core", 2),
    ("pg_percent", "PostgreSQL % of a core", 2),
    ("others_percent", "others % of a core", 0),
    ("wal_bytes", "WAL bytes", 0),
    ("first_rss_mb", "first RSS MB", 1),
    ("last_rss_mb", "last RSS MB", 1),
    ("peak_rss_mb", "peak RSS MB", 1),
    ("full_handshakes", "handshakes", 0),
    ("resumed_handshakes", "resumed", 0),
    ("least_by_one", "fewest by one", 0),
    ("most_by_one", "most by one", 0),
    ("duplicates", "twice", 0),
    ("lost", "lost", 0),
];

/// What one run of one variant has shown.
#[derive(Debug, Serialize)]
pub(crate) struct Run {
    pub(crate) workload: &'static str,
    /// Variants of one group are compared with each other.
    pub(crate) group: String,
    pub(crate) variant: String,
    at: String,
    /// Sentences about what must not be.
    pub(crate) faults: Vec<String>,
    #[serde(flatten)]
    figures: BTreeMap<&'static str, f64>,
    /// Points over time: seconds, value.
    #[serde(flatten)]
    series: BTreeMap<&'static str, Vec<(f64, f64)>>,
}

impl Run {
    pub(crate) fn new(workload: &'static str, group: &str, variant: &str) -> Run {
        Run {
            workload,
            group: group.to_owned(),
            variant: variant.to_owned(),
            at: Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true),
            faults: Vec::new(),
            figures: BTreeMap::new(),
            series: BTreeMap::new(),
        }
    }

    pub(crate) fn put(&mut self, name: &'static str, value: f64) {
        self.figures.insert(name, value);
    }

    pub(crate) fn put_series(&mut self, name: &'static str, points: Vec<(f64, f64)>) {
        self.series.insert(name, points);
    }

    pub(crate) fn get(&self, name: &str) -> Option<f64> {
        self.figures.get(name).copied()
    }

    pub(crate) fn put_percentiles(&mut self, names: [(&'static str, f64); 4], values: &mut [f64]) {
        for (name, share) in names {
            if let Some(value) = percentile(values, share) {
                self.put(name, value);
            }
        }
    }
}

/// Nearest rank. Sorts the values.
pub(crate) fn percentile(values: &mut [f64], share: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let rank = (values.len() as f64 * share).ceil() as usize;
    values.get(rank.saturating_sub(1)).copied()
}

pub(crate) struct Report {
    /// The figure that a workload is about.
    lead: &'static str,
    json: Option<File>,
    runs: Vec<Run>,
}

impl Report {
    pub(crate) fn open(options: &Options, lead: &'static str) -> Result<Report> {
        let open = |path| File::options().create(true).append(true).open(path);
        let json = options.json.as_ref().map(open).transpose();
        Ok(Report {
            lead,
            json: json.context("open the file for JSON")?,
            runs: Vec::new(),
        })
    }

    /// Kept at once: whoever stops half-way keeps what there is.
    pub(crate) fn add(&mut self, run: Run) -> Result<()> {
        if let Some(file) = &mut self.json {
            writeln!(file, "{}", serde_json::to_string(&run)?)?;
        }
        let lead = run.figures.get(self.lead).copied().unwrap_or(f64::NAN);
        eprintln!(
            "{} {} {}: {} {lead:.2}{}",
            run.workload,
            run.group,
            run.variant,
            head_of(self.lead),
            if run.faults.is_empty() {
                ""
            } else {
                ", and its books do not balance"
            }
        );
        self.runs.push(run);
        Ok(())
    }

    /// Prints the tables. Anything that must not be makes the whole a failure.
    pub(crate) fn close(self) -> ExitCode {
        let groups = distinct(self.runs.iter().map(|run| run.group.as_str()));
        for group in groups {
            let runs: Vec<&Run> = self.runs.iter().filter(|run| run.group == group).collect();
            let title = [runs[0].workload, group].join(" ");
            say(format_args!(
                "\n{}\n{}",
                title.trim_end(),
                self.table(&runs)
            ));
        }
        let mut code = ExitCode::SUCCESS;
        for run in &self.runs {
            for fault in &run.faults {
                eprintln!("{} {} {}: {fault}", run.workload, run.group, run.variant);
                code = ExitCode::FAILURE;
            }
        }
        code
    }

    fn table(&self, runs: &[&Run]) -> Table {
        let has = |name: &str| runs.iter().any(|run| run.figures.contains_key(name));
        let columns: Vec<_> = COLUMNS.iter().filter(|(name, ..)| has(name)).collect();
        let variants = distinct(runs.iter().map(|run| run.variant.as_str()));
        let first = median(&values(runs, variants[0], self.lead));
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN);
        let mut head = vec!["variant".to_owned(), "runs".to_owned()];
        for (name, title, _) in &columns {
            if *name == self.lead {
                head.push(format!("{title} (min–max)"));
                head.push("of first".to_owned());
            } else {
                head.push((*title).to_owned());
            }
        }
        table.set_header(head);
        for variant in variants {
            let times = runs.iter().filter(|run| run.variant == variant).count();
            let mut row = vec![variant.to_owned(), times.to_string()];
            for (name, _, digits) in &columns {
                let values = values(runs, variant, name);
                let middle = median(&values);
                if *name == self.lead {
                    let (least, most) = (values.first(), values.last());
                    row.push(format!(
                        "{} ({}–{})",
                        number(middle, *digits),
                        number(least.copied(), *digits),
                        number(most.copied(), *digits)
                    ));
                    row.push(number(middle.zip(first).map(|(m, f)| m / f), 2));
                } else {
                    row.push(number(middle, *digits));
                }
            }
            table.add_row(row);
        }
        table
    }
}

fn head_of(name: &str) -> &str {
    COLUMNS
        .iter()
        .find(|column| column.0 == name)
        .map_or(name, |column| column.1)
}

/// In the order of their first appearance.
fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = Vec::new();
    for name in names {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen
}

/// A variant's values of one figure, ascending.
fn values(runs: &[&Run], variant: &str, name: &str) -> Vec<f64> {
    let of_variant = runs.iter().filter(|run| run.variant == variant);
    let mut values: Vec<f64> = of_variant
        .filter_map(|run| run.figures.get(name).copied())
        .collect();
    values.sort_by(f64::total_cmp);
    values
}

pub(crate) fn median(ascending: &[f64]) -> Option<f64> {
    let (low, high) = (ascending.len().checked_sub(1)? / 2, ascending.len() / 2);
    Some((ascending[low] + ascending[high]) / 2.0)
}

/// With a comma between thousands.
fn number(value: Option<f64>, digits: usize) -> String {
    let Some(value) = value.filter(|value| value.is_finite()) else {
        return "–".to_owned();
    };
    let plain = format!("{value:.digits$}");
    let (whole, rest) = plain.split_at(plain.find('.').unwrap_or(plain.len()));
    let mut grouped = String::new();
    for (i, digit) in whole.chars().enumerate() {
        let left = whole.len() - i;
        if i > 0 && left.is_multiple_of(3) && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + rest
}

/// The tables are what was asked for; everything else goes to standard error.
#[allow(clippy::print_stdout, reason = "the benchmark's result is its output")]
pub(crate) fn say(words: std::fmt::Arguments<'_>) {
    println!("{words}");
}
