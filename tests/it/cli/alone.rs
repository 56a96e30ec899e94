//! Without a database: the help, the catalogue, and a configuration that is wrong.

use std::process::Stdio;

use tokio::process::Command;

use crate::fleet::Said;

/// The program without a configuration, without a database.
fn bare(env: &[(&str, &str)], arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_outboxd"));
    command
        .args(arguments)
        .env_clear()
        .envs(env.iter().copied())
        .current_dir(std::env::temp_dir())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

async fn ask(env: &[(&str, &str)], arguments: &[&str]) -> Said {
    Said::by(bare(env, arguments)).await
}

const VERBS: [&str; 22] = [
    "run",
    "serve",
    "desk-password",
    "migrate",
    "why",
    "find",
    "show",
    "list",
    "retry",
    "cancel",
    "bulk",
    "phone",
    "handled",
    "redirect",
    "correct",
    "pause",
    "resume",
    "stats",
    "audit",
    "send-test",
    "config",
    "errors",
];

#[tokio::test]
async fn help_is_at_hand_for_every_verb() {
    let nothing = ask(&[], &[]).await.ends_with(2);
    assert!(nothing.err.contains("Usage: outboxd") && nothing.out.is_empty());
    let help = ask(&[], &["--help"]).await.ends_with(0);
    for verb in VERBS {
        assert!(help.out.contains(&format!("\n  {verb} ")), "{verb}");
        let help = ask(&[], &[verb, "--help"]).await.ends_with(0);
        assert!(help.out.contains("Examples:"), "{verb}: {}", help.out);
        assert!(help.err.is_empty(), "{verb}: {}", help.err);
    }
    let is_verb = |line: &&str| line.starts_with("  ") && !line.starts_with("   ");
    let commands = help.out.lines().skip_while(|line| *line != "Commands:");
    let listed = commands
        .take_while(|line| *line != "Options:")
        .filter(is_verb)
        .count();
    assert_eq!(listed, VERBS.len() + 1, "with `help`: {}", help.out);
    assert!(
        ask(&[], &["--version"])
            .await
            .ends_with(0)
            .out
            .starts_with("outboxd ")
    );
    for wrong in [
        &["nonsense"][..],
        &["why"],
        &["retry", "李"],
        &["pause", "default"],
        &["resume", "default"],
        &["retry", "1"],
        &["list", "--limit", "0"],
    ] {
        let said = ask(&[], wrong).await.ends_with(2);
        assert!(
            said.out.is_empty() && !said.err.is_empty(),
            "{wrong:?}: {said:?}"
        );
    }
}

/// Every mistake in one go, in the reader's language, none of them with a secret in it.
#[tokio::test]
async fn a_bad_configuration_is_told_as_a_whole() {
    let wrong = [
        ("DATABASE_URL", "postgres//u:hunter2@h/db"),
        ("OUTBOXD_SLOTS", "0"),
        ("OUTBOXD_LEASE", "soon"),
        ("MINIPROGRAM_APPID", "wx 1"),
        ("MINIPROGRAM_APPSECRET", "hunter2 hunter2"),
        ("OUTBOXD_SIGNING_SECRET", "hunter2 hunter2"),
        ("OUTBOXD_LANG", "en"),
    ];
    let zh = [&wrong[..6], &[("LANG", "zh_CN.UTF-8")]].concat();
    for (env, first) in [(&wrong[..], "mistakes"), (&zh, "处错误")] {
        for verb in [&["run"][..], &["config", "show"]] {
            let said = ask(env, verb).await.ends_with(4);
            assert!(said.err.lines().next().unwrap().contains(first), "{said:?}");
            for (name, _) in &wrong[..6] {
                assert!(said.err.contains(name), "{name} is not told: {said:?}");
            }
            assert!(
                said.err.contains("MINIPROGRAM_CLOUD_ENV"),
                "what is missing: {said:?}"
            );
            assert!(
                !said.err.contains("hunter2") && !said.out.contains("hunter2"),
                "{said:?}"
            );
        }
    }
    // A question about rows needs no mini program.
    let said = ask(&wrong, &["why", "c"]).await.ends_with(4);
    assert!(
        said.err.contains("DATABASE_URL") && !said.err.contains("MINIPROGRAM"),
        "{said:?}"
    );
}

#[tokio::test]
async fn a_database_out_of_reach_is_named_without_its_password() {
    let env = [
        // Port 1 of this machine: nobody listens there.
        ("DATABASE_URL", "postgres://crm:hunter2@127.0.0.1:1/sales"),
        ("MINIPROGRAM_APPID", "wx0123456789abcdef"),
        ("MINIPROGRAM_APPSECRET", "0123456789abcdef0123456789abcdef"),
        ("MINIPROGRAM_CLOUD_ENV", "cloud1-x"),
        ("OUTBOXD_WAIT_FOR", "0s"),
        ("OUTBOXD_HTTP_LISTEN", "off"),
    ];
    for arguments in [
        &["why", "c"][..],
        &["find", "c"],
        &["show", "1"],
        &["list"],
        &["stats"],
        &["retry", "1", "--reason", "r"],
        &["migrate"],
        &["cancel", "1", "--reason", "r"],
        &["pause", "default", "--reason", "r"],
        &["resume", "default", "--reason", "r"],
        &["migrate", "status"],
        &["migrate", "roles"],
        &["run"],
        &["send-test", "--customer", "c", "--user", "u", "--store"],
    ] {
        for lang in ["en", "zh"] {
            let said = ask(&env, &[&["--lang", lang], arguments].concat())
                .await
                .ends_with(5);
            assert!(said.out.is_empty(), "{arguments:?}: {said:?}");
            assert!(!said.err.contains("hunter2"), "{arguments:?}: {said:?}");
            if arguments != ["run"] {
                assert!(
                    said.err.contains("127.0.0.1:1/sales"),
                    "{arguments:?}: {said:?}"
                );
            }
        }
    }
}

/// Words that need no database come without one.
#[tokio::test]
async fn the_catalogue_and_the_template_need_nothing() {
    let errors = ask(&[], &["errors", "--json"]).await.ends_with(0);
    assert!(errors.json().to_string().contains("not_subscribed"));
    for lang in ["en", "zh"] {
        let template = ask(&[], &["config", "template", "--lang", lang])
            .await
            .ends_with(0);
        toml_is_all_comments(&template.out);
    }
    let sql = ask(&[], &["migrate", "sql"]).await.ends_with(0);
    assert!(sql.out.contains("create table outboxd.notification_outbox"));
}

fn toml_is_all_comments(text: &str) {
    for line in text.lines() {
        assert!(line.is_empty() || line.starts_with(['#', '[']), "{line}");
    }
}

/// Not to be mended by a restart, which a service manager would try for ever.
#[tokio::test]
async fn a_desk_whose_settings_let_nobody_in_or_anybody_does_not_start() {
    let database = ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none");
    for (name, value, said) in [
        ("OUTBOXD_DESK_USERS", "/nonesuch", "desk-password NAME"),
        ("OUTBOXD_DESK_SECRET", "abc", "openssl rand -hex 32"),
        ("OUTBOXD_DESK_BADGE_SECRET", "x", "openssl rand -hex 32"),
    ] {
        let setting = [
            database,
            (name, value),
            ("OUTBOXD_DESK_LISTEN", "127.0.0.1:0"),
        ];
        let refused = ask(&setting, &["serve"]).await.ends_with(4);
        assert!(
            refused.err.contains(name) && refused.err.contains(said),
            "{}",
            refused.err
        );
    }
}
