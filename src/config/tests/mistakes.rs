//! Mistake → sentence. Each case makes one change to a machine that is otherwise right.

use super::{APPSECRET, Machine, URL};
use crate::config::{Finding, Lang, Needs};

/// The finding's sentence and way out, in both languages.
fn check(findings: &[Finding], en: &str, zh: &str) {
    let [finding] = findings else {
        panic!("expected one: {en}\nfound: {findings:#?}");
    };
    let said = |lang| format!("{} → {}", finding.sentence(lang), finding.way_out(lang));
    assert_eq!(said(Lang::En), en);
    assert_eq!(said(Lang::Zh), zh);
}

fn mistake(machine: Machine, en: &str, zh: &str) {
    check(&machine.refused().mistakes, en, zh);
}

fn doubt(machine: Machine, en: &str, zh: &str) {
    check(&machine.config().warnings, en, zh);
}

#[test]
fn values_that_cannot_be_read() {
    for (name, value, en, zh) in [
        (
            "OUTBOXD_LEASE",
            "60",
            "has no unit → write 60s",
            "没有写单位 → 请写 60s",
        ),
        (
            "OUTBOXD_CALL_TIMEOUT",
            "150",
            "has no unit → write 150s, or 150ms",
            "没有写单位 → 请写 150s 或 150ms",
        ),
        (
            "OUTBOXD_RETRY_SCHEDULE",
            "5s 0",
            "step 2, \"0\", has no unit → write a duration from 1ms to 24h",
            "第 2 步“0”没有写单位 → 请写 1ms 到 24h 之间的时长",
        ),
        (
            "OUTBOXD_LANG",
            "fr",
            "must be one of: auto, zh, en → write one of these words",
            "只能是：auto、zh、en → 请写其中一个",
        ),
        (
            "OUTBOXD_POLL_IDLE",
            "1 fortnight",
            "is not a duration → write a number with its unit, such as 250ms, 10s, 5m or 1h",
            "不是时长 → 请写数字加单位，例如 250ms、10s、5m 或 1h",
        ),
        (
            "OUTBOXD_LEASE",
            "11m",
            "must be 1s to 10m → write a duration from 1s to 10m",
            "必须在 1s 到 10m 之间 → 请写 1s 到 10m 之间的时长",
        ),
        (
            "OUTBOXD_RETRY_SCHEDULE",
            "5s, 25h",
            "step 2, \"25h\", must be 1ms to 24h → write a duration from 1ms to 24h",
            "第 2 步“25h”必须在 1ms 到 24h 之间 → 请写 1ms 到 24h 之间的时长",
        ),
        (
            "OUTBOXD_RETRY_SCHEDULE",
            ",",
            "must have 1 to 100 steps, and has 0 → write for example 5s 1m 30m 2h",
            "必须有 1 到 100 步，现在有 0 步 → 请写，例如 5s 1m 30m 2h",
        ),
        (
            "OUTBOXD_SLOTS",
            "ten",
            "must be a whole number from 1 to 1024 → write for example 10",
            "必须是 1 到 1024 的整数 → 请写，例如 10",
        ),
        (
            "OUTBOXD_POOLER",
            "transactoin",
            "must be one of: none, transaction → did you mean transaction?",
            "只能是：none、transaction → 是不是 transaction？",
        ),
        (
            "OUTBOXD_UNSAFE_DURABILITY",
            "yes please",
            "must be one of: false, true → write one of these words",
            "只能是：false、true → 请写其中一个",
        ),
        (
            "OUTBOXD_LOG",
            "inof",
            "is not a log level → did you mean info?",
            "不是日志级别 → 是不是 info？",
        ),
        (
            "OUTBOXD_LOG",
            "a=b=c",
            "is not a log filter → write info, or info,outboxd::wechat=debug",
            "不是日志过滤规则 → 请写 info，或 info,outboxd::wechat=debug",
        ),
        (
            "OUTBOXD_TIME_ZONE",
            "Asia/Shanghia",
            "is not a time zone of the IANA list → write a name such as Asia/Shanghai",
            "不在 IANA 时区表里 → 请写时区名，例如 Asia/Shanghai",
        ),
        (
            "OUTBOXD_HTTP_LISTEN",
            "9090",
            "is not an IP address with a port → write 127.0.0.1:9090, or off",
            "不是“IP 地址:端口” → 请写 127.0.0.1:9090，或 off",
        ),
        (
            "OUTBOXD_WECHAT_BASE_URL",
            "http://api.weixin.qq.com",
            "would send the token over the network unencrypted → use https://; http:// is for a \
             simulator on this machine (127.0.0.1, localhost)",
            "会在网络上明文传送 token → 请用 https://；http:// 只能用于本机的模拟器（127.0.0.1、localhost）",
        ),
        (
            "OUTBOXD_WECHAT_BASE_URL",
            "api.weixin.qq.com",
            "is not a URL → write it like https://api.weixin.qq.com",
            "不是 URL → 请写成 https://api.weixin.qq.com 的样子",
        ),
        (
            "MINIPROGRAM_CLOUD_ENV",
            "\"cloud1-abc\"",
            "takes only letters, digits and `-_`, at most 64 → copy it again, without quotes and spaces",
            "只接受字母、数字和 `-_`，最多 64 个字符 → 请重新复制，不要带引号和空格",
        ),
    ] {
        let machine = Machine::configured().env(name, value);
        mistake(
            machine,
            &format!("{name} = \"{value}\" (environment variable {name}) {en}"),
            &format!("{name} =“{value}”（环境变量 {name}）：{zh}"),
        );
    }
}

#[test]
fn wrong_secrets_are_never_shown() {
    for (name, value, shown) in [
        ("DATABASE_URL", "postgres://crm:hunter2#x@db/crm", "***"),
        ("DATABASE_URL", "hunter2", "***"),
        (
            "DATABASE_URL",
            "mysql://crm:hunter2@db/crm",
            "mysql://crm:***@db/crm",
        ),
        (
            "DATABASE_URL",
            "postgres://crm@db/crm?password=hunter2&sslmode=full",
            "postgres://crm@db/crm?password=***&sslmode=full",
        ),
        ("MINIPROGRAM_APPSECRET", "hunter2 hunter2", "***"),
    ] {
        let refused = Machine::configured().env(name, value).refused();
        let printed = format!("{refused} {refused:?} {:?}", refused.describe(Lang::En));
        assert!(!printed.contains("hunter2"), "{printed}");
        let expected = format!("{name} = \"{shown}\" (environment");
        assert!(
            refused.mistakes[0]
                .sentence(Lang::En)
                .starts_with(&expected),
            "{printed}"
        );
    }
}

#[test]
fn a_broken_file_shows_no_line_of_itself() {
    let file = "[apps.default]\nappsecret = hunter2\n";
    mistake(
        Machine::configured().file("/etc/outboxd/config.toml", file),
        "/etc/outboxd/config.toml is not TOML at line 2: string values must be quoted, expected literal string \
         → text needs quotes: key = \"value\"; `outboxd config template` prints a model",
        "/etc/outboxd/config.toml：第 2 行不是 TOML：string values must be quoted, expected literal string \
         → 文字要加引号：键 = \"值\"；`outboxd config template` 会输出样例",
    );
}

#[test]
fn files_that_cannot_be_read() {
    mistake(
        Machine::configured().flag("config", "nowhere.toml"),
        "nowhere.toml (flag --config) cannot be read: entity not found → check the path",
        "nowhere.toml（命令行参数 --config）：无法读取：entity not found → 请检查路径",
    );
    let machine = Machine::configured().env("OUTBOXD_SIGNING_SECRET_FILE", "/run/secrets/sign");
    mistake(
        machine.file("/run/secrets/sign", "<denied>"),
        "OUTBOXD_SIGNING_SECRET (file named by OUTBOXD_SIGNING_SECRET_FILE) is in the file \
         /run/secrets/sign, which cannot be read → let the user outboxd runs as read it",
        "OUTBOXD_SIGNING_SECRET（OUTBOXD_SIGNING_SECRET_FILE 指向的文件）：所在的文件 \
         /run/secrets/sign 无法读取 → 请让运行 outboxd 的用户有权读取",
    );
}

#[test]
fn a_secret_and_its_file_together() {
    mistake(
        Machine::configured().env("MINIPROGRAM_APPSECRET_FILE", "/run/secrets/wx"),
        "MINIPROGRAM_APPSECRET (environment variable MINIPROGRAM_APPSECRET_FILE) is given together \
         with MINIPROGRAM_APPSECRET_FILE → keep one: MINIPROGRAM_APPSECRET_FILE is the safer",
        "MINIPROGRAM_APPSECRET（环境变量 MINIPROGRAM_APPSECRET_FILE）：与 MINIPROGRAM_APPSECRET_FILE \
         同时出现 → 请只保留一个：MINIPROGRAM_APPSECRET_FILE 更安全",
    );
}

#[test]
fn relations_name_both_values() {
    mistake(
        Machine::configured().env("OUTBOXD_CALL_TIMEOUT", "30s"),
        "OUTBOXD_LEASE = \"60s\" (default) is shorter than three calls of OUTBOXD_CALL_TIMEOUT = \
         \"30s\" (environment variable OUTBOXD_CALL_TIMEOUT) → set OUTBOXD_LEASE to 1m30s or more, \
         or OUTBOXD_CALL_TIMEOUT to 20s or less",
        "OUTBOXD_LEASE =“60s”（默认值）：短于三次调用 OUTBOXD_CALL_TIMEOUT =“30s”（环境变量 \
         OUTBOXD_CALL_TIMEOUT） → 请把 OUTBOXD_LEASE 设为不少于 1m30s，或把 OUTBOXD_CALL_TIMEOUT \
         设为不超过 20s",
    );
    mistake(
        Machine::configured()
            .env("OUTBOXD_LEASE", "10s")
            .env("OUTBOXD_DRAIN_TIMEOUT", "5s"),
        "OUTBOXD_LEASE = \"10s\" (environment variable OUTBOXD_LEASE) is shorter than three calls of \
         OUTBOXD_CALL_TIMEOUT = \"10s\" (default) → set OUTBOXD_LEASE to 30s or more, or \
         OUTBOXD_CALL_TIMEOUT to 3s or less",
        "OUTBOXD_LEASE =“10s”（环境变量 OUTBOXD_LEASE）：短于三次调用 OUTBOXD_CALL_TIMEOUT =“10s”（默认值） \
         → 请把 OUTBOXD_LEASE 设为不少于 30s，或把 OUTBOXD_CALL_TIMEOUT 设为不超过 3s",
    );
    let file = "[relay]\ndrain_timeout = \"2m\"";
    mistake(
        Machine::configured().file("/etc/outboxd/config.toml", file),
        "OUTBOXD_DRAIN_TIMEOUT = \"2m\" (/etc/outboxd/config.toml: relay.drain_timeout) is longer \
         than OUTBOXD_LEASE = \"60s\" (default), after which another daemon takes the rows → set \
         OUTBOXD_DRAIN_TIMEOUT to 60s or less",
        "OUTBOXD_DRAIN_TIMEOUT =“2m”（/etc/outboxd/config.toml: relay.drain_timeout）：长于 \
         OUTBOXD_LEASE =“60s”（默认值），而过了租约别的进程就会接手这些行 → 请把 \
         OUTBOXD_DRAIN_TIMEOUT 设为不超过 60s",
    );
}

#[test]
fn unknown_keys_come_with_the_nearest_name() {
    for (file, key, en, zh) in [
        (
            "[relay]\nlaese = \"60s\"",
            "relay.laese",
            "relay.lease",
            "relay.lease",
        ),
        (
            "[apps.default]\nslot = 3",
            "apps.default.slot",
            "apps.default.slots",
            "apps.default.slots",
        ),
        (
            "slots = 3",
            "slots",
            "apps.default.slots",
            "apps.default.slots",
        ),
        ("[relays]\nlease = \"60s\"", "relays", "", ""),
        (
            "DATABASE_URL = \"x\"",
            "DATABASE_URL",
            "database.url",
            "database.url",
        ),
        (
            "MINIPROGRAM_APPID = \"x\"",
            "MINIPROGRAM_APPID",
            "apps.default.appid",
            "apps.default.appid",
        ),
        ("colour = \"blue\"", "colour", "", ""),
    ] {
        let way_out = |near: &str, did: &str, remove: &str, mark: &str| match near {
            "" => remove.to_owned(),
            near => format!("{did}{near}{mark}"),
        };
        let remove = "remove it; `outboxd config template` lists every setting";
        let en = way_out(en, "did you mean ", remove, "?");
        let remove = "请删除；`outboxd config template` 会列出全部设置";
        let zh = way_out(zh, "是不是 ", remove, "？");
        mistake(
            Machine::configured()
                .file("c.toml", file)
                .flag("config", "c.toml"),
            &format!("{key} (c.toml: {key}) is not a setting → {en}"),
            &format!("{key}（c.toml: {key}）：不是已知的设置 → {zh}"),
        );
    }
}

#[test]
fn sections_and_values_are_told_apart() {
    mistake(
        Machine::configured().file("/etc/outboxd/config.toml", "relay = 3"),
        "relay (/etc/outboxd/config.toml: relay) is a section, not a value → write [relay] on a line of its own",
        "relay（/etc/outboxd/config.toml: relay）：是一个小节，不是值 → 请单独写一行 [relay]",
    );
    mistake(
        Machine::configured().file("/etc/outboxd/config.toml", "language = [\"zh\"]"),
        "OUTBOXD_LANG (/etc/outboxd/config.toml: language) is not a single value → write key = \"value\"",
        "OUTBOXD_LANG（/etc/outboxd/config.toml: language）：不是单个值 → 请写成 键 = \"值\"",
    );
    let refused = Machine::configured()
        .file("/etc/outboxd/config.toml", "[apps.\"my shop\"]\nslots = 3")
        .refused();
    assert_eq!(refused.mistakes[0].setting, "apps.my shop");
}

#[test]
fn unknown_variables_are_doubts() {
    doubt(
        Machine::configured().env("OUTBOXD_SLOT", "3"),
        "OUTBOXD_SLOT (environment variable OUTBOXD_SLOT) is not a setting → did you mean OUTBOXD_SLOTS?",
        "OUTBOXD_SLOT（环境变量 OUTBOXD_SLOT）：不是已知的设置 → 是不是 OUTBOXD_SLOTS？",
    );
    doubt(
        Machine::configured().file(".env", "MINIPROGRAM_APP_ID=wx"),
        "MINIPROGRAM_APP_ID (.env line 1) is not a setting → did you mean MINIPROGRAM_APPID?",
        "MINIPROGRAM_APP_ID（.env 第 1 行）：不是已知的设置 → 是不是 MINIPROGRAM_APPID？",
    );
    let foreign = Machine::configured()
        .env("MINIPROGRAM_TEMPLATE_ID", "t")
        .env("OUTBOXD_SERVICE_HOST", "10.0.0.1")
        .env("OUTBOXD_PORT_9090_TCP", "tcp://10.0.0.1:9090")
        .file(".env", "JWT_SECRET=a b c\nNAME=\n");
    assert_eq!(foreign.config().warnings, []);
}

#[test]
fn a_warning_says_so_and_keeps_its_halves_apart() {
    let config = Machine::configured()
        .env("MINIPROGRAM_APID", APPSECRET)
        .config();
    let said = |lang| config.warnings[0].warning(lang);
    assert_eq!(
        said(Lang::En),
        "warning: MINIPROGRAM_APID (environment variable MINIPROGRAM_APID) is not a setting → did you \
         mean MINIPROGRAM_APPID?"
    );
    assert_eq!(
        said(Lang::Zh),
        "警告：MINIPROGRAM_APID（环境变量 MINIPROGRAM_APID）：不是已知的设置 → 是不是 MINIPROGRAM_APPID？"
    );
}

#[test]
fn mistakes_do_not_hide_doubts() {
    let refused = Machine::configured()
        .env("OUTBOXD_SLOTS", "0")
        .env("OUTBOXD_SLOT", "3")
        .refused();
    assert_eq!(refused.mistakes.len(), 1);
    assert_eq!(refused.warnings.len(), 1);
}

#[test]
fn values_that_look_like_mistakes_are_doubted() {
    doubt(
        Machine::configured().env("OUTBOXD_CALL_TIMEOUT", "5s"),
        "OUTBOXD_CALL_TIMEOUT = \"5s\" (environment variable OUTBOXD_CALL_TIMEOUT) is hardly longer \
         than WeChat's own limit of 5s, so calls may end without an answer → set it to 6s or more; \
         10s is usual",
        "OUTBOXD_CALL_TIMEOUT =“5s”（环境变量 OUTBOXD_CALL_TIMEOUT）：几乎不比微信自己的 5 \
         秒时限长，调用可能等不到结果 → 请设为不少于 6s；通常用 10s",
    );
    doubt(
        Machine::configured().env("MINIPROGRAM_APPSECRET", "your-app-secret"),
        "MINIPROGRAM_APPSECRET = \"***\" (environment variable MINIPROGRAM_APPSECRET) does not look \
         like an AppSecret (32 characters 0-9a-f) → if it is a placeholder, fetch the real one: \
         mp.weixin.qq.com, 开发管理 → 开发设置",
        "MINIPROGRAM_APPSECRET =“***”（环境变量 MINIPROGRAM_APPSECRET）：看起来不是 AppSecret（应为 \
         32 位 0-9a-f 字符） → 如果还是占位文字，请到 mp.weixin.qq.com「开发管理 → 开发设置」取真实的值",
    );
    doubt(
        Machine::configured().env("OUTBOXD_HTTP_LISTEN", "0.0.0.0:9090"),
        "OUTBOXD_HTTP_LISTEN = \"0.0.0.0:9090\" (environment variable OUTBOXD_HTTP_LISTEN) lets other \
         machines read health and metrics → nothing personal is in them; if only this machine reads \
         them, use 127.0.0.1",
        "OUTBOXD_HTTP_LISTEN =“0.0.0.0:9090”（环境变量 OUTBOXD_HTTP_LISTEN）：会让其他机器读到健康状态和指标 \
         → 其中没有个人信息；如果只在本机读取，请用 127.0.0.1",
    );
    doubt(
        Machine::configured().env("OUTBOXD_DESK_PROXY", "127.0.0.1 10.0.0.0/8"),
        "OUTBOXD_DESK_PROXY = \"127.0.0.1 10.0.0.0/8\" (environment variable OUTBOXD_DESK_PROXY) believes \
         everybody in 10.0.0.0/8 → name the proxy's own address",
        "OUTBOXD_DESK_PROXY =“127.0.0.1 10.0.0.0/8”（环境变量 OUTBOXD_DESK_PROXY）：会相信 10.0.0.0/8 里的所有机器 \
         → 请只写代理自己的地址",
    );
    doubt(
        Machine::configured().env("OUTBOXD_DESK_LISTEN", "0.0.0.0:9091"),
        "OUTBOXD_DESK_LISTEN = \"0.0.0.0:9091\" (environment variable OUTBOXD_DESK_LISTEN) lets other \
         machines in over http, with passwords and customers' data unencrypted → put a proxy with https \
         before it and set OUTBOXD_DESK_URL to its https:// address",
        "OUTBOXD_DESK_LISTEN =“0.0.0.0:9091”（环境变量 OUTBOXD_DESK_LISTEN）：其他机器会用 http 访问，密码和客户数据明文传送 \
         → 请在前面放一个带 https 的代理，并把 OUTBOXD_DESK_URL 设为它的 https:// 地址",
    );
    doubt(
        Machine::configured().env("DATABASE_URL", &format!("{URL}?pgbouncer=true")),
        "DATABASE_URL = \"postgres://crm:***@db:5432/crm?pgbouncer=true\" (environment variable \
         DATABASE_URL) says pgbouncer=true, and OUTBOXD_POOLER does not say transaction → set \
         OUTBOXD_POOLER=transaction, or better give the daemon a direct URL",
        "DATABASE_URL =“postgres://crm:***@db:5432/crm?pgbouncer=true”（环境变量 \
         DATABASE_URL）：写着 pgbouncer=true，而 OUTBOXD_POOLER 不是 transaction → 请设置 \
         OUTBOXD_POOLER=transaction，最好改用直连数据库的 URL",
    );
}

#[test]
fn behind_https_the_desk_may_listen_to_the_proxy() {
    let machine = Machine::configured()
        .env("OUTBOXD_DESK_LISTEN", "0.0.0.0:9091")
        .env("OUTBOXD_DESK_URL", "https://crm.example.com");
    assert_eq!(machine.config().warnings, []);
}

#[test]
fn traps_of_dotenv() {
    doubt(
        Machine::configured().file(".env", "DATABASE_URL=postgres://crm:pa$word@db/crm"),
        "DATABASE_URL (.env line 1) has a $ in it, which .env replaces by a variable's value → if the \
         $ is meant as it stands, put the value in single quotes",
        "DATABASE_URL（.env 第 1 行）：含有 $，在 .env 里会被替换成变量的值 → 如果 $ 就是原文，请给值加单引号",
    );
    doubt(
        Machine::configured().file(".env", "OUTBOXD_SLOTS=3\nOUTBOXD_SLOTS=4"),
        "OUTBOXD_SLOTS (.env line 2) also stands on line 1; this later line counts → remove one of the two",
        "OUTBOXD_SLOTS（.env 第 2 行）：在第 1 行也写过；以后面这一行为准 → 请删去其中一行",
    );
    mistake(
        Machine::configured().file(".env", "OUTBOXD_RETRY_SCHEDULE=5s 15s"),
        "OUTBOXD_RETRY_SCHEDULE (.env line 1) cannot be read → write OUTBOXD_RETRY_SCHEDULE='value'; \
         a value with spaces or # needs the quotes",
        "OUTBOXD_RETRY_SCHEDULE（.env 第 1 行）：无法读取 → 请写成 OUTBOXD_RETRY_SCHEDULE='值'；值里有空格或 \
         # 时必须加引号",
    );
    let quoted = Machine::configured().file(".env", "OUTBOXD_RETRY_SCHEDULE='5s 15s'\r\n");
    assert_eq!(quoted.config().apps[0].retry_schedule.len(), 2);
}

#[test]
fn an_app_half_configured_names_what_is_missing() {
    let file = format!("[apps.shop]\nappsecret = \"{APPSECRET}\"\ncloud_env = \"cloud1-a\"");
    mistake(
        Machine::default()
            .env("DATABASE_URL", URL)
            .file("/etc/outboxd/config.toml", &file),
        "apps.shop.appid is missing → copy the AppID from mp.weixin.qq.com, 开发管理 → 开发设置",
        "apps.shop.appid：没有设置 → 请从 mp.weixin.qq.com「开发管理 → 开发设置」复制 AppID",
    );
}

#[test]
fn every_mistake_is_reported_at_once() {
    let refused = Machine::default()
        .env("LANG", "zh_CN.UTF-8")
        .env("OUTBOXD_SLOTS", "0")
        .env("OUTBOXD_DRAIN_TIMEOUT", "2m")
        .file("/etc/outboxd/config.toml", "[log]\ncolour = \"red\"")
        .refused();
    assert_eq!(
        refused.to_string(),
        "配置有 5 处错误：\n\
         1. log.colour（/etc/outboxd/config.toml: log.colour）：不是已知的设置\n   \
         → 请删除；`outboxd config template` 会列出全部设置\n\
         2. DATABASE_URL：没有设置\n   \
         → 请写 DATABASE_URL=postgres://用户:密码@主机:5432/数据库，即 CRM 分配客户所用的数据库\n\
         3. OUTBOXD_SLOTS =“0”（环境变量 OUTBOXD_SLOTS）：必须是 1 到 1024 的整数\n   \
         → 请写，例如 10\n\
         4. MINIPROGRAM_APPID, MINIPROGRAM_APPSECRET, MINIPROGRAM_CLOUD_ENV：没有设置：还没有配置任何小程序\n   \
         → AppID 和 AppSecret：mp.weixin.qq.com「开发管理 → 开发设置」；环境 ID（形如 \
         cloud1-…）：微信开发者工具「云开发 → 设置」\n\
         5. OUTBOXD_DRAIN_TIMEOUT =“2m”（环境变量 OUTBOXD_DRAIN_TIMEOUT）：长于 OUTBOXD_LEASE \
         =“60s”（默认值），而过了租约别的进程就会接手这些行\n   \
         → 请把 OUTBOXD_DRAIN_TIMEOUT 设为不超过 60s"
    );
}

#[test]
fn a_broken_app_does_not_keep_support_from_the_database() {
    let machine = Machine::default()
        .env("DATABASE_URL", URL)
        .file("/etc/outboxd/config.toml", "[apps.default]\nslot = 3");
    let config = machine.clone().load(Needs::Database).unwrap();
    assert_eq!(config.warnings.len(), 1);
    assert_eq!(machine.refused().mistakes.len(), 2);
}
