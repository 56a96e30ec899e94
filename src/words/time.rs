//! Times as people say them: the exact time in the configured zone, and how long ago or ahead it is.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Voice, say};

impl Voice {
    /// `10:02:31` today, `11-21 10:02:31` this year, `2025-11-21 10:02:31` otherwise.
    pub fn exact(&self, at: DateTime<Utc>) -> String {
        let (at, now) = (
            at.with_timezone(&self.zone),
            self.now.with_timezone(&self.zone),
        );
        let form = if at.date_naive() == now.date_naive() {
            "%H:%M:%S"
        } else if at.format("%Y").to_string() == now.format("%Y").to_string() {
            "%m-%d %H:%M:%S"
        } else {
            "%Y-%m-%d %H:%M:%S"
        };
        at.format(form).to_string()
    }

    /// `3 min ago`, `in 2 h`, `just now`.
    pub fn relative(&self, at: DateTime<Utc>) -> String {
        let ahead = at - self.now;
        if ahead.abs() < TimeDelta::seconds(1) {
            say!(self, "time.now")
        } else if ahead > TimeDelta::zero() {
            say!(self, "time.ahead", span = self.span(ahead))
        } else {
            say!(self, "time.ago", span = self.span(-ahead))
        }
    }

    /// Both: `10:02:31 (3 min ago)`.
    pub fn when(&self, at: DateTime<Utc>) -> String {
        say!(
            self,
            "time.both",
            exact = self.exact(at),
            relative = self.relative(at)
        )
    }

    /// A length of time in one unit, cut rather than rounded: nobody has waited two hours after 119 minutes.
    pub fn span(&self, span: TimeDelta) -> String {
        let seconds = span.num_seconds().max(0);
        match seconds {
            0..60 => say!(self, "time.seconds", n = seconds),
            60..3600 => say!(self, "time.minutes", n = seconds / 60),
            3600..172_800 => say!(self, "time.hours", n = seconds / 3600),
            _ => say!(self, "time.days", n = seconds / 86_400),
        }
    }

    /// The same of what may have been short: with tenths of a second, under a minute.
    pub fn lasted(&self, span: TimeDelta) -> String {
        match i32::try_from(span.num_milliseconds()) {
            Ok(ms @ 0..60_000) => self.took(ms),
            _ => self.span(span),
        }
    }

    /// How long a call took: `0.4 s`, `14 ms`.
    pub fn took(&self, ms: i32) -> String {
        if ms < 100 {
            return say!(self, "time.took_ms", ms = ms);
        }
        say!(
            self,
            "time.took",
            s = format!("{:.1}", f64::from(ms) / 1000.0)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{Lang, Place};
    use chrono::TimeZone;

    fn voice(lang: Lang) -> Voice {
        Voice {
            lang,
            place: Place::Terminal,
            zone: chrono_tz::Asia::Shanghai,
            now: Utc.with_ymd_and_hms(2026, 11, 22, 2, 5, 0).unwrap(),
        }
    }

    #[test]
    fn times_are_read_in_the_zone_and_relative_to_the_databases_now() {
        let (zh, en) = (voice(Lang::Zh), voice(Lang::En));
        for (seconds, exact, in_zh, in_en) in [
            (0, "10:05:00", "刚刚", "just now"),
            (-12, "10:04:48", "12 秒前", "12 s ago"),
            (-149, "10:02:31", "2 分钟前", "2 min ago"),
            (-7199, "08:05:01", "1 小时前", "1 h ago"),
            (90, "10:06:30", "1 分钟后", "in 1 min"),
            (-86_400 * 3, "11-19 10:05:00", "3 天前", "3 days ago"),
            (
                -86_400 * 365,
                "2025-11-22 10:05:00",
                "365 天前",
                "365 days ago",
            ),
        ] {
            let at = zh.now + TimeDelta::seconds(seconds);
            assert_eq!(zh.exact(at), exact);
            assert_eq!(zh.relative(at), in_zh);
            assert_eq!(en.relative(at), in_en);
        }
        assert_eq!(en.took(412), "0.4 s");
        assert_eq!(en.took(14), "14 ms");
        assert_eq!(en.lasted(TimeDelta::milliseconds(59_900)), "59.9 s");
        assert_eq!(en.lasted(TimeDelta::seconds(60)), "1 min");
        assert_eq!(zh.when(zh.now), "10:05:00（刚刚）");
    }
}
