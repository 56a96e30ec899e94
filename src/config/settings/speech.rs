//! The settings of what outboxd says: how much of it, in which form, language and time zone.

use super::super::kind::{Choice, Filter, Zone};
use super::super::setting::{Absent, Scope, Setting};
use super::super::words::Words;
use super::super::{LogFormat, Needs};
use crate::lang::Lang;

pub static LOG: Setting<Filter> = Setting {
    env: "OUTBOXD_LOG",
    also: Some("RUST_LOG"),
    key: "log.level",
    scope: Scope::Daemon,
    needs: Needs::Database,
    absent: Absent::Default("info"),
    doc: Words::new(
        "What to log. `RUST_LOG` is asked first.",
        "日志记录什么。先看 `RUST_LOG`。",
    ),
    kind: Filter,
};

pub static LOG_FORMAT: Setting<Choice<LogFormat>> = Setting {
    env: "OUTBOXD_LOG_FORMAT",
    also: None,
    key: "log.format",
    scope: Scope::Daemon,
    needs: Needs::Database,
    absent: Absent::Default("auto"),
    doc: Words::new(
        "`auto` writes text on a terminal and JSON elsewhere.",
        "`auto`：终端上为文本，其他情况为 JSON。",
    ),
    kind: Choice(&[
        ("auto", LogFormat::Auto),
        ("text", LogFormat::Text),
        ("json", LogFormat::Json),
    ]),
};

pub static LANG: Setting<Choice<Option<Lang>>> = Setting {
    env: "OUTBOXD_LANG",
    also: None,
    key: "language",
    scope: Scope::Daemon,
    needs: Needs::Database,
    absent: Absent::Default("auto"),
    doc: Words::new(
        "The language of messages. `auto` follows `LC_ALL`, `LC_MESSAGES` and `LANG`.",
        "提示所用的语言。`auto` 依次看 `LC_ALL`、`LC_MESSAGES`、`LANG`。",
    ),
    kind: Choice(&[
        ("auto", None),
        ("zh", Some(Lang::Zh)),
        ("en", Some(Lang::En)),
    ]),
};

pub static TIME_ZONE: Setting<Zone> = Setting {
    env: "OUTBOXD_TIME_ZONE",
    also: None,
    key: "time_zone",
    scope: Scope::Daemon,
    needs: Needs::Database,
    absent: Absent::Default("Asia/Shanghai"),
    doc: Words::new(
        "The time zone of the times people read. The database stores instants.",
        "给人看的时间所用的时区。数据库里存的是绝对时刻。",
    ),
    kind: Zone,
};
