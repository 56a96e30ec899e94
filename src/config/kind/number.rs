//! Counts and durations.

use std::time::Duration;

use super::{Kind, Read, Wrong, wrong};
use crate::config::words::{Words, words};

/// A whole number between two others.
pub struct Count {
    pub min: u32,
    pub max: u32,
    /// What a message offers.
    pub usual: u32,
}

impl Kind for Count {
    fn takes(&self) -> Words {
        let Self { min, max, .. } = self;
        words!("{min} to {max}", "{min} 到 {max}")
    }

    fn toml(&self, text: &str) -> String {
        text.to_owned()
    }
}

impl Read for Count {
    type Value = u32;

    fn read(&self, text: &str) -> Result<u32, Wrong> {
        let Self { min, max, usual } = self;
        match text.parse() {
            Ok(count) if (*min..=*max).contains(&count) => Ok(count),
            _ => wrong(
                words!(
                    "must be a whole number from {min} to {max}",
                    "必须是 {min} 到 {max} 的整数"
                ),
                words!("write for example {usual}", "请写，例如 {usual}"),
            ),
        }
    }
}

/// A duration between two others, with its unit.
pub struct Span {
    pub min: &'static str,
    pub max: &'static str,
}

impl Span {
    fn check(&self, text: &str) -> Result<Duration, Wrong> {
        let Self { min, max } = self;
        let within_limits = || {
            words!(
                "write a duration from {min} to {max}",
                "请写 {min} 到 {max} 之间的时长"
            )
        };
        if text.parse::<f64>().is_ok() {
            let meant = ["s", "ms"].map(|unit| format!("{text}{unit}"));
            let takes = |meant: &String| self.check(meant).is_ok();
            let way_out = match (meant.each_ref().map(takes), meant) {
                ([true, true], [s, ms]) => words!("write {s}, or {ms}", "请写 {s} 或 {ms}"),
                ([true, false], [one, _]) | ([false, true], [_, one]) => {
                    words!("write {one}", "请写 {one}")
                }
                ([false, false], _) => within_limits(),
            };
            return wrong(Words::new("has no unit", "没有写单位"), way_out);
        }
        let Ok(span) = humantime::parse_duration(text) else {
            return wrong(
                Words::new("is not a duration", "不是时长"),
                Words::new(
                    "write a number with its unit, such as 250ms, 10s, 5m or 1h",
                    "请写数字加单位，例如 250ms、10s、5m 或 1h",
                ),
            );
        };
        if span < limit(min) || span > limit(max) {
            return wrong(
                words!("must be {min} to {max}", "必须在 {min} 到 {max} 之间"),
                within_limits(),
            );
        }
        Ok(span)
    }
}

fn limit(text: &str) -> Duration {
    humantime::parse_duration(text).expect("limits in the table are durations")
}

impl Kind for Span {
    fn takes(&self) -> Words {
        let Self { min, max } = self;
        words!("{min} to {max}", "{min} 到 {max}")
    }
}

impl Read for Span {
    type Value = Duration;

    fn read(&self, text: &str) -> Result<Duration, Wrong> {
        self.check(text)
    }
}

/// Durations one after another, each within the limits, parted by spaces or commas.
pub struct Schedule {
    pub each: Span,
    pub longest: usize,
}

impl Kind for Schedule {
    fn takes(&self) -> Words {
        let (Span { min, max }, longest) = (&self.each, self.longest);
        words!(
            "1 to {longest} durations, each {min} to {max}",
            "1 到 {longest} 个时长，每个 {min} 到 {max}"
        )
    }

    fn toml(&self, text: &str) -> String {
        let steps: Vec<String> = steps(text).map(|step| format!("{step:?}")).collect();
        format!("[{}]", steps.join(", "))
    }

    fn list(&self) -> bool {
        true
    }
}

fn steps(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_whitespace() || matches!(c, ',' | '，'))
        .filter(|step| !step.is_empty())
}

impl Read for Schedule {
    type Value = Vec<Duration>;

    fn read(&self, text: &str) -> Result<Vec<Duration>, Wrong> {
        let count = steps(text).count();
        if count == 0 || count > self.longest {
            let longest = self.longest;
            return wrong(
                words!(
                    "must have 1 to {longest} steps, and has {count}",
                    "必须有 1 到 {longest} 步，现在有 {count} 步"
                ),
                Words::new("write for example 5s 1m 30m 2h", "请写，例如 5s 1m 30m 2h"),
            );
        }
        steps(text)
            .enumerate()
            .map(|(index, step)| {
                self.each.check(step).map_err(|Wrong { reason, way_out }| {
                    let nth = index + 1;
                    Wrong {
                        reason: words!(
                            "step {nth}, \"{step}\", {r}",
                            "第 {nth} 步“{step}”{r}",
                            r = reason
                        ),
                        way_out,
                    }
                })
            })
            .collect()
    }
}
