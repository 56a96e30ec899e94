//! One of several known words: our own few, the time zones, the log filter.

use chrono_tz::{TZ_VARIANTS, Tz};
use tracing_subscriber::EnvFilter;

use super::{Kind, Read, Wrong, wrong};
use crate::config::words::{Words, nearest, words};

/// An IANA time zone.
pub struct Zone;

impl Kind for Zone {
    fn takes(&self) -> Words {
        Words::new("an IANA name", "IANA 时区名")
    }
}

impl Read for Zone {
    type Value = Tz;

    fn read(&self, text: &str) -> Result<Tz, Wrong> {
        text.parse().or_else(|_| {
            let near = nearest(text, TZ_VARIANTS.iter().map(|zone| zone.name()))
                .unwrap_or("Asia/Shanghai");
            wrong(
                Words::new("is not a time zone of the IANA list", "不在 IANA 时区表里"),
                words!("write a name such as {near}", "请写时区名，例如 {near}"),
            )
        })
    }
}

/// What to log: a level, or `tracing` directives.
pub struct Filter;

impl Kind for Filter {
    fn takes(&self) -> Words {
        Words::new(
            "`error`, `warn`, `info`, `debug`, `trace`, or `tracing` directives such as `info,outboxd::wechat=debug`",
            "`error`、`warn`、`info`、`debug`、`trace`，或 `tracing` 的写法，例如 `info,outboxd::wechat=debug`",
        )
    }
}

impl Read for Filter {
    type Value = String;

    fn read(&self, text: &str) -> Result<String, Wrong> {
        const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
        let example = || {
            Words::new(
                "write info, or info,outboxd::wechat=debug",
                "请写 info，或 info,outboxd::wechat=debug",
            )
        };
        // A mistyped level is, to the parser, the name of a crate that never logs.
        let word = text.to_ascii_lowercase();
        if !LEVELS.contains(&&*word)
            && let Some(level) = nearest(&word, LEVELS)
        {
            return wrong(
                Words::new("is not a log level", "不是日志级别"),
                words!("did you mean {level}?", "是不是 {level}？"),
            );
        }
        match EnvFilter::builder().parse(text) {
            Ok(_) => Ok(text.to_owned()),
            Err(_) => wrong(
                Words::new("is not a log filter", "不是日志过滤规则"),
                example(),
            ),
        }
    }
}

/// One of a few words.
pub struct Choice<T: 'static>(pub &'static [(&'static str, T)]);

impl<T: Sync> Kind for Choice<T> {
    fn takes(&self) -> Words {
        let known: Vec<String> = self.0.iter().map(|(w, _)| format!("`{w}`")).collect();
        Words {
            en: known.join(", ").into(),
            zh: known.join("、").into(),
        }
    }

    fn toml(&self, text: &str) -> String {
        match text {
            "true" | "false" => text.to_owned(),
            _ => toml::Value::from(text).to_string(),
        }
    }
}

impl<T: Copy + Sync> Read for Choice<T> {
    type Value = T;

    fn read(&self, text: &str) -> Result<T, Wrong> {
        if let Some((_, value)) = self.0.iter().find(|(word, _)| *word == text) {
            return Ok(*value);
        }
        let known: Vec<&str> = self.0.iter().map(|(word, _)| *word).collect();
        let (en, zh) = (known.join(", "), known.join("、"));
        wrong(
            Words {
                en: format!("must be one of: {en}").into(),
                zh: format!("只能是：{zh}").into(),
            },
            match nearest(text, known) {
                Some(near) => words!("did you mean {near}?", "是不是 {near}？"),
                None => Words::new("write one of these words", "请写其中一个"),
            },
        )
    }
}
