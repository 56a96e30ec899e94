//! The one table of settings: name, TOML key, default, limits, meaning in both languages.
//!
//! Parser, template, `config show` and `docs/configuration.md` all read this table, so they cannot
//! disagree. A default is written as a person would write it and goes through the same reader.

mod desk;
mod speech;
mod target;

use super::kind::*;
use super::setting::{Absent, Scope, Setting};
use super::words::Words;
use super::{Needs, Pooler};

pub use desk::{
    DESK_BADGE_ORIGINS, DESK_BADGE_SECRET, DESK_CUSTOMER_LABEL, DESK_LISTEN, DESK_OPERATORS,
    DESK_PHONE, DESK_PROXY, DESK_READ_ONLY, DESK_RECIPIENT_LABEL, DESK_SECRET, DESK_URL,
    DESK_USER_HEADER, DESK_USERS,
};
pub use speech::{LANG, LOG, LOG_FORMAT, TIME_ZONE};
pub use target::{
    ALLOW, ASK_GRANTS_EVERY, AWAIT_GRANT, ON_UNKNOWN, OPENID_FROM, OPENID_QUERY, SIGNING_SECRET,
    TARGET, TARGET_URL, TEMPLATES, WEBHOOK_SECRET, serves,
};

/// Every setting, in the order of template and documentation.
pub static ALL: [&Setting; 46] = [
    &DATABASE_URL,
    &POOLER,
    &WAIT_FOR,
    &UNSAFE_DURABILITY,
    &TARGET,
    &APPID,
    &APPSECRET,
    &CLOUD_ENV,
    &FUNCTION,
    &BASE_URL,
    &SIGNING_SECRET,
    &AWAIT_GRANT,
    &ASK_GRANTS_EVERY,
    &TEMPLATES,
    &OPENID_FROM,
    &OPENID_QUERY,
    &TARGET_URL,
    &WEBHOOK_SECRET,
    &ALLOW,
    &ON_UNKNOWN,
    &SLOTS,
    &CALL_TIMEOUT,
    &RETRY_SCHEDULE,
    &LEASE,
    &DRAIN_TIMEOUT,
    &POLL_IDLE,
    &INSTANCE,
    &JOURNAL_DIR,
    &HTTP_LISTEN,
    &DESK_LISTEN,
    &DESK_URL,
    &DESK_USERS,
    &DESK_SECRET,
    &DESK_PROXY,
    &DESK_USER_HEADER,
    &DESK_OPERATORS,
    &DESK_READ_ONLY,
    &DESK_CUSTOMER_LABEL,
    &DESK_RECIPIENT_LABEL,
    &DESK_PHONE,
    &DESK_BADGE_SECRET,
    &DESK_BADGE_ORIGINS,
    &LOG,
    &LOG_FORMAT,
    &LANG,
    &TIME_ZONE,
];

pub static DATABASE_URL: Setting<DatabaseUrl> = Setting {
    env: "DATABASE_URL",
    also: None,
    key: "database.url",
    scope: Scope::Daemon,
    needs: Needs::Database,
    absent: Absent::Refused(Words::new(
        "write DATABASE_URL=postgres://user:password@host:5432/database, the database in which the CRM assigns customers",
        "请写 DATABASE_URL=postgres://用户:密码@主机:5432/数据库，即 CRM 分配客户所用的数据库",
    )),
    doc: Words::new(
        "The CRM's PostgreSQL database. Without it the `PG*` variables (`PGHOST`, `PGDATABASE`, …) are used. Special characters in the password are percent-encoded.",
        "CRM 的 PostgreSQL 数据库。没有此项时使用 `PG*` 变量（`PGHOST`、`PGDATABASE` 等）。密码里的特殊字符要用百分号编码。",
    ),
    kind: DatabaseUrl,
};

pub static POOLER: Setting<Choice<Pooler>> = Setting {
    env: "OUTBOXD_POOLER",
    also: None,
    key: "database.pooler",
    scope: Scope::Daemon,
    needs: Needs::Database,
    absent: Absent::Default("none"),
    doc: Words::new(
        "`transaction` if a pooler such as PgBouncer in transaction mode stands before the database; every statement then runs in a transaction of its own.",
        "数据库前面有事务模式的连接池（如 PgBouncer）时写 `transaction`：每条语句都放进单独的事务。",
    ),
    kind: Choice(&[("none", Pooler::None), ("transaction", Pooler::Transaction)]),
};

pub static WAIT_FOR: Setting<Span> = Setting {
    env: "OUTBOXD_WAIT_FOR",
    also: None,
    key: "database.wait_for",
    scope: Scope::Daemon,
    needs: Needs::Database,
    absent: Absent::Default("30s"),
    doc: Words::new(
        "How long `run` waits at start for a database that does not answer yet.",
        "`run` 启动时数据库尚无应答，最多等待多久。",
    ),
    kind: Span {
        min: "0s",
        max: "1h",
    },
};

pub static UNSAFE_DURABILITY: Setting<Choice<bool>> = Setting {
    env: "OUTBOXD_UNSAFE_DURABILITY",
    also: None,
    key: "database.unsafe_durability",
    scope: Scope::Daemon,
    needs: Needs::Database,
    absent: Absent::Default("false"),
    doc: Words::new(
        "`true` accepts a database with `fsync` or `synchronous_commit` off, which may lose committed rows when it crashes. For tests.",
        "写 `true` 表示接受关闭了 `fsync` 或 `synchronous_commit` 的数据库；它崩溃时可能丢失已提交的行。仅供测试。",
    ),
    kind: Choice(&[("false", false), ("true", true)]),
};

pub static APPID: Setting<AppId> = Setting {
    env: "MINIPROGRAM_APPID",
    also: None,
    key: "appid",
    scope: Scope::App,
    needs: Needs::Everything,
    absent: Absent::Refused(Words::new(
        "copy the AppID from mp.weixin.qq.com, 开发管理 → 开发设置",
        "请从 mp.weixin.qq.com「开发管理 → 开发设置」复制 AppID",
    )),
    doc: Words::new(
        "The mini program's AppID: mp.weixin.qq.com, 开发管理 → 开发设置.",
        "小程序的 AppID：mp.weixin.qq.com「开发管理 → 开发设置」。",
    ),
    kind: AppId,
};

pub static APPSECRET: Setting<Hidden> = Setting {
    env: "MINIPROGRAM_APPSECRET",
    also: None,
    key: "appsecret",
    scope: Scope::App,
    needs: Needs::Everything,
    absent: Absent::Refused(Words::new(
        "copy the AppSecret from mp.weixin.qq.com, 开发管理 → 开发设置, into a file and name it in MINIPROGRAM_APPSECRET_FILE, or write it into MINIPROGRAM_APPSECRET",
        "请从 mp.weixin.qq.com「开发管理 → 开发设置」取得 AppSecret，存成文件并写入 MINIPROGRAM_APPSECRET_FILE，或直接写入 MINIPROGRAM_APPSECRET",
    )),
    doc: Words::new(
        "The mini program's AppSecret, from the same page. It is shown only once, when it is made.",
        "小程序的 AppSecret，在同一页面。只在生成时显示一次。",
    ),
    kind: Hidden::AppSecret,
};

pub static CLOUD_ENV: Setting<Name> = Setting {
    env: "MINIPROGRAM_CLOUD_ENV",
    also: None,
    key: "cloud_env",
    scope: Scope::App,
    needs: Needs::Everything,
    absent: Absent::Refused(Words::new(
        "copy the environment id (like cloud1-…) from WeChat DevTools, 云开发 → 设置",
        "请从微信开发者工具「云开发 → 设置」复制环境 ID（形如 cloud1-…）",
    )),
    doc: Words::new(
        "The id of the cloud environment, like `cloud1-…`: WeChat DevTools, 云开发 → 设置.",
        "云开发环境 ID，形如 `cloud1-…`：微信开发者工具「云开发 → 设置」。",
    ),
    kind: Name {
        marks: "-_",
        longest: 64,
    },
};

pub static FUNCTION: Setting<Name> = Setting {
    env: "OUTBOXD_FUNCTION",
    also: None,
    key: "function",
    scope: Scope::App,
    needs: Needs::Everything,
    absent: Absent::Default("quickstartFunctions"),
    doc: Words::new(
        "The cloud function that sends the message.",
        "发送订阅消息的云函数。",
    ),
    kind: Name {
        marks: "-_",
        longest: 60,
    },
};

pub static BASE_URL: Setting<BaseUrl> = Setting {
    env: "OUTBOXD_WECHAT_BASE_URL",
    also: None,
    key: "base_url",
    scope: Scope::App,
    needs: Needs::Everything,
    absent: Absent::Default("https://api.weixin.qq.com"),
    doc: Words::new(
        "Where WeChat is: another of its hosts, a proxy, or a simulator.",
        "微信接口的地址：可换成微信的其他域名、代理或模拟器。",
    ),
    kind: BaseUrl,
};

pub static SLOTS: Setting<Count> = Setting {
    env: "OUTBOXD_SLOTS",
    also: None,
    key: "slots",
    scope: Scope::App,
    needs: Needs::Everything,
    absent: Absent::Default("10"),
    doc: Words::new(
        "How many calls may be under way at once. WeChat is comfortable with about 10.",
        "同时进行的调用数。对微信来说 10 左右合适。",
    ),
    kind: Count {
        min: 1,
        max: 1024,
        usual: 10,
    },
};

pub static CALL_TIMEOUT: Setting<Span> = Setting {
    env: "OUTBOXD_CALL_TIMEOUT",
    also: None,
    key: "call_timeout",
    scope: Scope::App,
    needs: Needs::Everything,
    absent: Absent::Default("10s"),
    doc: Words::new(
        "How long one call may take. WeChat itself cuts a cloud function called over HTTP at 5 s, so stay above.",
        "一次调用的时限。微信对 HTTP 触发的云函数 5 秒即断开，此值应大于它。",
    ),
    kind: Span {
        min: "100ms",
        max: "3m",
    },
};

pub static RETRY_SCHEDULE: Setting<Schedule> = Setting {
    env: "OUTBOXD_RETRY_SCHEDULE",
    also: None,
    key: "retry_schedule",
    scope: Scope::App,
    needs: Needs::Everything,
    absent: Absent::Default("5s 15s 1m 5m 15m 30m 1h 2h 4h 8h"),
    doc: Words::new(
        "The waits between attempts; when they are used up, the notification is given up, with its reason.",
        "各次尝试之间的等待；用完仍未成功，就带着原因放弃这条通知。",
    ),
    kind: Schedule {
        each: Span {
            min: "1ms",
            max: "24h",
        },
        longest: 100,
    },
};

pub static LEASE: Setting<Span> = Setting {
    env: "OUTBOXD_LEASE",
    also: None,
    key: "relay.lease",
    scope: Scope::Daemon,
    needs: Needs::Everything,
    absent: Absent::Default("60s"),
    doc: Words::new(
        "How long a claimed row belongs to one daemon; after a crash it waits that long for another. At least three times `OUTBOXD_CALL_TIMEOUT`.",
        "一行被领取后归某个进程多久；进程崩溃后，别的进程要等这么久才能接手。至少是 `OUTBOXD_CALL_TIMEOUT` 的三倍。",
    ),
    kind: Span {
        min: "1s",
        max: "10m",
    },
};

pub static DRAIN_TIMEOUT: Setting<Span> = Setting {
    env: "OUTBOXD_DRAIN_TIMEOUT",
    also: None,
    key: "relay.drain_timeout",
    scope: Scope::Daemon,
    needs: Needs::Everything,
    absent: Absent::Default("20s"),
    doc: Words::new(
        "How long a stopping daemon waits for calls under way. At most `OUTBOXD_LEASE`; the kill timeout of pm2, systemd or Kubernetes must be longer.",
        "停止时等待正在进行的调用多久。不得超过 `OUTBOXD_LEASE`；pm2、systemd、Kubernetes 的强制结束时限要比它长。",
    ),
    kind: Span {
        min: "0s",
        max: "10m",
    },
};

pub static POLL_IDLE: Setting<Span> = Setting {
    env: "OUTBOXD_POLL_IDLE",
    also: None,
    key: "relay.poll_idle",
    scope: Scope::Daemon,
    needs: Needs::Everything,
    absent: Absent::Default("250ms"),
    doc: Words::new(
        "How often an idle daemon looks for due rows when nothing wakes it.",
        "空闲且无人唤醒时，多久查看一次到期的行。",
    ),
    kind: Span {
        min: "10ms",
        max: "60s",
    },
};

pub static INSTANCE: Setting<Name> = Setting {
    env: "OUTBOXD_INSTANCE",
    also: None,
    key: "relay.instance",
    scope: Scope::Daemon,
    needs: Needs::Everything,
    absent: Absent::Means(Words::new("host name and process id", "主机名加进程号")),
    doc: Words::new(
        "The daemon's name in logs and timelines. Two daemons may share it: each adds random characters.",
        "此进程在日志和时间线里的名字。可以重名：每个进程会再加一段随机字符。",
    ),
    kind: Name {
        marks: "-_.:@",
        longest: 80,
    },
};

pub static JOURNAL_DIR: Setting<Folder> = Setting {
    env: "OUTBOXD_JOURNAL_DIR",
    also: None,
    key: "relay.journal_dir",
    scope: Scope::Daemon,
    needs: Needs::Everything,
    absent: Absent::Means(Words::new("no journal", "不写日志")),
    doc: Words::new(
        "A folder of the daemon's own, kept over restarts. While the database takes no outcomes, answers that have come are written down here, and the next daemon records them: a daemon killed meanwhile does not forget whom WeChat has accepted. Daemons may share it.",
        "守护进程专用的目录，重启后保留。数据库无法记录结果期间，已收到的应答写在这里，由下一个守护进程补记：即使此时进程被杀，也不会忘记微信已接收哪些消息。多个守护进程可以共用。",
    ),
    kind: Folder,
};

pub static HTTP_LISTEN: Setting<Listen> = Setting {
    env: "OUTBOXD_HTTP_LISTEN",
    also: None,
    key: "http.listen",
    scope: Scope::Daemon,
    needs: Needs::Everything,
    absent: Absent::Default("127.0.0.1:9090"),
    doc: Words::new(
        "Where `run` answers health checks and metrics.",
        "`run` 提供健康检查和指标的地址。",
    ),
    kind: Listen,
};
