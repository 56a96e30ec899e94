//! Which source wins, and that each value names it.

use std::time::Duration;

use super::{APPID, APPSECRET, Machine, URL, function, row};
use crate::config::{Lang, Needs, Pooler};

fn slots(machine: Machine) -> (u32, String) {
    let config = machine.config();
    (config.apps[0].slots, row(&config, "OUTBOXD_SLOTS").1)
}

#[test]
fn environment_over_dotenv_over_file_over_default() {
    let machine = Machine::configured();
    assert_eq!(slots(machine.clone()), (10, "default".into()));
    let machine = machine.file("/etc/outboxd/config.toml", "[apps.default]\nslots = 1\n");
    let origin = "/etc/outboxd/config.toml: apps.default.slots";
    assert_eq!(slots(machine.clone()), (1, origin.into()));
    let machine = machine.file(".env", "# CRM\nPORT=3000\nexport OUTBOXD_SLOTS=2\n");
    assert_eq!(slots(machine.clone()), (2, ".env line 3".into()));
    let machine = machine.env("OUTBOXD_SLOTS", "3");
    let origin = "environment variable OUTBOXD_SLOTS";
    assert_eq!(slots(machine), (3, origin.into()));
}

#[test]
fn flags_win() {
    let machine = Machine::configured()
        .env("OUTBOXD_LANG", "en")
        .flag("lang", "zh")
        .flag("database-url", "postgres://elsewhere/crm");
    let config = machine.config();
    assert_eq!(config.lang, Lang::Zh);
    let origin = |name| row(&config, name).1;
    assert_eq!(origin("OUTBOXD_LANG"), "flag --lang");
    assert_eq!(origin("DATABASE_URL"), "flag --database-url");
}

#[test]
fn the_file_is_named_by_flag_then_variable_then_custom() {
    let machine = Machine::configured()
        .file("/etc/outboxd/config.toml", "[relay]\nlease = \"31s\"")
        .file("b.toml", "[relay]\nlease = \"32s\"")
        .file("c.toml", "[relay]\nlease = \"33s\"");
    let lease = |machine: Machine| machine.config().lease.as_secs();
    assert_eq!(lease(machine.clone()), 31);
    let machine = machine.file(".env", "OUTBOXD_CONFIG=b.toml");
    assert_eq!(lease(machine.clone()), 32);
    assert_eq!(lease(machine.flag("config", "c.toml")), 33);
}

#[test]
fn origins_are_told_in_chinese_too() {
    let config = Machine::configured()
        .env("LANG", "zh_CN.UTF-8")
        .file(".env", "OUTBOXD_SLOTS=2")
        .config();
    assert_eq!(config.lang, Lang::Zh);
    let rows = config.describe(config.lang);
    let origin = |name: &str| {
        let row = rows.iter().find(|row| row.setting == name).unwrap();
        format!("{} ← {}", row.value, row.origin)
    };
    assert_eq!(origin("OUTBOXD_SLOTS"), "2 ← .env 第 1 行");
    assert_eq!(origin("OUTBOXD_LEASE"), "60s ← 默认值");
    assert_eq!(origin("OUTBOXD_SIGNING_SECRET"), "不签名 ← 默认值");
    let database = "postgres://crm:***@db:5432/crm ← 环境变量 DATABASE_URL";
    assert_eq!(origin("DATABASE_URL"), database);
    assert_eq!(
        origin("MINIPROGRAM_APPSECRET"),
        "*** ← 环境变量 MINIPROGRAM_APPSECRET"
    );
}

#[test]
fn empty_variables_count_as_absent() {
    let machine = Machine::configured()
        .env("OUTBOXD_SLOTS", " ")
        .file(".env", "OUTBOXD_LEASE=\nOUTBOXD_SLOTS=7");
    assert_eq!(slots(machine).0, 7);
}

#[test]
fn a_secret_in_a_file_of_its_own() {
    let machine = Machine::default()
        .env("DATABASE_URL", URL)
        .env("MINIPROGRAM_APPID", APPID)
        .env("MINIPROGRAM_CLOUD_ENV", "cloud1-abc")
        .env("MINIPROGRAM_APPSECRET_FILE", "/run/secrets/wx")
        .file("/run/secrets/wx", &format!("{APPSECRET}\n"));
    let config = machine.clone().config();
    assert_eq!(
        function(&config, 0).miniprogram.appsecret.expose(),
        APPSECRET
    );
    assert_eq!(config.warnings, []);
    let origin = "file named by MINIPROGRAM_APPSECRET_FILE";
    assert_eq!(
        row(&config, "MINIPROGRAM_APPSECRET"),
        ("***".into(), origin.into())
    );
    let open = machine.open_file("/run/secrets/wx", APPSECRET).config();
    let [warning] = &open.warnings[..] else {
        panic!("{:?}", open.warnings);
    };
    assert_eq!(
        warning.sentence(Lang::En),
        "MINIPROGRAM_APPSECRET (file named by MINIPROGRAM_APPSECRET_FILE) is in /run/secrets/wx, \
         which every user of this machine may read"
    );
    assert_eq!(
        warning.way_out(Lang::Zh),
        "请执行：chmod 600 /run/secrets/wx"
    );
}

#[test]
fn a_nearer_source_wins_over_a_farther_pointer() {
    let config = Machine::configured()
        .file(".env", "MINIPROGRAM_APPSECRET_FILE=/nowhere")
        .config();
    assert_eq!(
        function(&config, 0).miniprogram.appsecret.expose(),
        APPSECRET
    );
}

#[test]
fn systemd_hands_over_credentials() {
    let config = Machine::default()
        .env("CREDENTIALS_DIRECTORY", "/run/credentials/outboxd.service")
        .env("MINIPROGRAM_APPID", APPID)
        .env("MINIPROGRAM_CLOUD_ENV", "cloud1-abc")
        .file(
            "/run/credentials/outboxd.service/miniprogram_appsecret",
            &format!("{APPSECRET}\r\n"),
        )
        .file("/run/credentials/outboxd.service/database_url", URL)
        .config();
    assert_eq!(
        function(&config, 0).miniprogram.appsecret.expose(),
        APPSECRET
    );
    assert_eq!(config.database.url.expose(), URL);
    assert_eq!(
        row(&config, "MINIPROGRAM_APPSECRET").1,
        "systemd credential miniprogram_appsecret"
    );
}

#[test]
fn several_apps_and_variables_for_the_default_one() {
    let file = format!(
        r#"
        time_zone = "UTC"
        [database]
        url = "postgres://localhost/crm"
        pooler = "transaction"
        [apps.shop]
        appid = "wxfedcba9876543210"
        appsecret_file = "/run/secrets/shop"
        cloud_env = "cloud1-shop"
        slots = 3
        retry_schedule = ["1s", "1h 30m"]
        call_timeout = "7s"
        [apps.default]
        appid = "wx0000000000000000"
        appsecret = "{APPSECRET}"
        cloud_env = "cloud1-crm"
        "#
    )
    .replace("1h 30m", "1h30m");
    let config = Machine::default()
        .file("x.toml", &file)
        .flag("config", "x.toml")
        .file("/run/secrets/shop", &format!("{APPSECRET}\n"))
        .env("MINIPROGRAM_APPID", APPID)
        .env("OUTBOXD_SLOTS", "20")
        .config();
    let names: Vec<&str> = config.apps.iter().map(|app| &*app.name).collect();
    assert_eq!(names, ["default", "shop"]);
    assert_eq!(config.database.pooler, Pooler::Transaction);
    let (crm, shop) = (&config.apps[0], &config.apps[1]);
    assert_eq!(
        (&*function(&config, 0).miniprogram.appid, crm.slots),
        (APPID, 20)
    );
    assert_eq!(
        (&*function(&config, 1).miniprogram.appid, shop.slots),
        ("wxfedcba9876543210", 3)
    );
    let waits = [1, 5400].map(Duration::from_secs);
    assert_eq!(shop.retry_schedule, waits);
    assert_eq!(row(&config, "apps.shop.slots").1, "x.toml: apps.shop.slots");
    assert_eq!(
        row(&config, "apps.shop.appsecret").1,
        "file named by apps.shop.appsecret_file"
    );
}

#[test]
fn variables_without_their_app_have_no_effect_and_say_so() {
    let file = format!(
        "[apps.shop]\nappid = \"{APPID}\"\nappsecret = \"{APPSECRET}\"\ncloud_env = \"cloud1-a\"\n"
    );
    let config = Machine::default()
        .env("DATABASE_URL", URL)
        .env("OUTBOXD_SLOTS", "20")
        .file("/etc/outboxd/config.toml", &file)
        .config();
    assert_eq!(config.apps.len(), 1);
    let [warning] = &config.warnings[..] else {
        panic!("{:?}", config.warnings);
    };
    assert_eq!(
        warning.way_out(Lang::En),
        "write slots under [apps.NAME] in the file"
    );
}

#[test]
fn pg_variables_stand_in_for_the_url() {
    let config = Machine::default()
        .env("PGHOST", "/var/run/postgresql")
        .env("PGDATABASE", "crm")
        .env("PGPASSWORD", "p@ss&word")
        .file(".env", "PGUSER=crm\n")
        .load(Needs::Database)
        .unwrap();
    let url =
        "postgres:///?host=%2Fvar%2Frun%2Fpostgresql&user=crm&password=p%40ss%26word&dbname=crm";
    assert_eq!(config.database.url.expose(), url);
    assert_eq!(
        row(&config, "DATABASE_URL"),
        (
            "postgres:///?host=%2Fvar%2Frun%2Fpostgresql&user=crm&password=***&dbname=crm".into(),
            "environment variables PGHOST PGUSER PGPASSWORD PGDATABASE".into()
        )
    );
    let sqlx: sqlx::postgres::PgConnectOptions = url.parse().unwrap();
    assert_eq!(sqlx.get_username(), "crm");
    assert_eq!(sqlx.get_database(), Some("crm"));
    let socket = std::path::Path::new("/var/run/postgresql");
    assert_eq!(sqlx.get_socket().map(|path| path.as_path()), Some(socket));
}

#[test]
fn a_url_is_preferred_to_pg_variables() {
    let config = Machine::configured().env("PGHOST", "elsewhere").config();
    assert_eq!(config.database.url.expose(), URL);
}

#[test]
fn rust_log_is_asked_before_our_own() {
    let machine = Machine::configured().env("OUTBOXD_LOG", "warn");
    assert_eq!(machine.clone().config().log.filter, "warn");
    let machine = machine.env("RUST_LOG", "debug,sqlx=warn");
    assert_eq!(machine.config().log.filter, "debug,sqlx=warn");
}

#[test]
fn an_empty_section_is_no_app() {
    let shop = format!(
        "[apps.default]\n[apps.shop]\nappid = \"{APPID}\"\nappsecret = \"{APPSECRET}\"\ncloud_env = \"cloud1-a\"\n"
    );
    let config = Machine::default()
        .env("DATABASE_URL", URL)
        .open_file("/etc/outboxd/config.toml", &shop)
        .config();
    assert_eq!(config.apps.len(), 1);
    assert_eq!(config.apps[0].name, "shop");
}

#[test]
fn an_open_file_is_doubted_once() {
    let file = format!("[database]\nurl = \"{URL}\"\n[apps.default]\nappsecret = \"{APPSECRET}\"");
    let config = Machine::default()
        .env("MINIPROGRAM_APPID", APPID)
        .env("MINIPROGRAM_CLOUD_ENV", "cloud1-abc")
        .open_file("/etc/outboxd/config.toml", &file)
        .config();
    assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
}
