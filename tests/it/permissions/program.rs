//! What each verb ends with under each role. Who may not is told which role may.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use sqlx::{ConnectOptions, PgPool};
use tokio::io::{AsyncBufReadExt, BufReader};

use super::{ROLES, url_of};
use crate::fleet::{Fleet, Said, signal};
use crate::harness::{create_roles, run};

/// The exit code under each role, and last under the schema's owner. `no`: exit code 1, and who may instead.
const CELLS: &str = r#"
                                                    crm     support desk    daemon  admin   owner
    run --once                                      no      no      no      0       no      0
    serve                                           0       0       0       0       0       0
    desk-password crm --token                       0       0       0       0       0       0
    migrate                                         no      0       0       0       0       0
    migrate status                                  no      0       0       0       0       0
    migrate sql                                     0       0       0       0       0       0
    migrate roles                                   no      no      no      no      no      0
    migrate roles --print                           0       0       0       0       0       0
    why 10086                                       no      0       0       0       0       0
    find 10086                                      no      0       0       0       0       0
    find 李女士                                        no      3       0       0       0       0
    show 1002                                       no      0       0       0       0       0
    show 1002 --payload                             no      no      0       0       0       0
    list                                            no      0       0       0       0       0
    stats                                           no      0       0       0       0       0
    audit                                           no      0       0       0       0       0
    phone                                           no      0       0       0       0       0
    retry 1002 --reason r                           no      no      0       no      0       0
    cancel 2001 --reason r                          no      no      0       no      0       0
    handled 1002 told --reason r                    no      no      0       no      0       0
    redirect 1002 --to 43 --reason r                no      no      0       no      0       0
    correct 1002 --payload {"n":1} --reason r       no      no      0       no      0       0
    pause default --reason r                        no      no      0       0       0       0
    resume default --reason r                       no      no      0       0       0       0
    bulk plan --status dead --reason r              no      no      0       no      0       0
    bulk start 1 --yes --detach                     no      no      0       no      0       0
    bulk status                                     no      0       0       no      0       0
    bulk pause 2 --reason r                         no      no      0       no      0       0
    bulk resume 3 --yes --detach                    no      no      0       no      0       0
    bulk cancel 1 --reason r                        no      no      0       no      0       0
    bulk drive                                      no      no      0       no      0       0
    send-test --customer c --user li                0       0       0       0       0       0
    send-test --customer c --user li --store        0       no      0       no      0       0
    config show                                     0       0       0       0       0       0
    config template                                 0       0       0       0       0       0
    errors                                          0       0       0       0       0       0"#;

/// Longer than any of them takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// One that was given up, one that waits; redrives that are planned, running and paused, of nothing.
const STAGE: &str = r#"
    truncate outboxd.notification_outbox, outboxd.notification_delivery, outboxd.audit_log, outboxd.notification_handled,
        outboxd.notification_successor, outboxd.bulk_redrive, outboxd.bulk_redrive_underway, outboxd.app_state restart identity;
    insert into outboxd.notification_delivery
        (id, key, app, event_type, aggregate_type, aggregate_id, recipient, payload, priority, attempts, lease_epoch,
         format_version, created_at, created_by, status, reason, errcode, may_have_arrived, settled_at, settled_by)
    values (1002, gen_random_uuid(), 'default', 'customer_assigned', 'customer', '10086', 'li', '{"name": "李女士"}', 2, 3, 0, 1,
            now() - interval '1 hour', 'crm', 'dead', 'not_subscribed', 43101, false, now() - interval '1 minute', 'daemon-a');
    insert into outboxd.notification_outbox (id, event_type, aggregate_id, recipient, next_attempt_at)
    overriding system value values (2001, 'customer_assigned', '10088', 'li', now() + interval '1 hour');
    select setval(pg_get_serial_sequence('outboxd.notification_outbox', 'id'), 3000);
    insert into outboxd.bulk_redrive (statuses, settled_until, with_doubtful, with_late, preview, why, planned_by, changed_by,
                                      per_second, stop_above, state)
    select '{dead}', now() - interval '1 day', false, false, '{"count": 1, "is_more": false, "oldest": null, "stale": 0, "late": 0, "doubtful": 0, "ordered": 0}', 'r', 'wang', 'wang', 5, 20, state
      from unnest('{planned,running,paused}'::text[]) state;"#;

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn each_verb_ends_under_each_role_as_its_line_says(pool: PgPool) {
    create_roles(&pool).await;
    let mut fleet = Fleet::new(&pool).await;
    fleet
        .set("OUTBOXD_DESK_LISTEN", "127.0.0.1:0")
        .set("OUTBOXD_LANG", "en")
        .set("OUTBOXD_WAIT_FOR", "1s");
    let mut urls = ROLES.map(|role| url_of(&pool, role)).to_vec();
    urls.push(pool.connect_options().to_url_lossy().to_string());
    let mut differing = String::new();
    let mut asked = BTreeSet::new();
    for line in CELLS.lines().skip(2) {
        // The verb ends where two spaces are.
        let line = line.trim();
        let (verb, told) = line.split_once("  ").unwrap_or((line, ""));
        let verb: Vec<&str> = verb.split_whitespace().collect();
        let mut found = Vec::new();
        for url in &urls {
            run(&pool, STAGE).await;
            let env = [("DATABASE_URL", url.as_str())];
            let said = match verb[..] {
                ["serve"] => opened(&fleet, &env, &verb).await,
                _ => {
                    let ends = tokio::time::timeout(PATIENCE, fleet.ask_as(&env, &verb));
                    match ends.await {
                        Ok(said) => said,
                        Err(_) => {
                            found.push("hangs".to_owned());
                            continue;
                        }
                    }
                }
            };
            assert!(!said.err.contains("panicked"), "{verb:?}: {said:?}");
            let told = [
                "use a login that has outboxd_",
                "use the login that owns the schema",
            ];
            found.push(match said.code {
                Some(1) if told.iter().any(|it| said.err.contains(it)) => "no".to_owned(),
                Some(code) => code.to_string(),
                None => "a signal".to_owned(),
            });
        }
        if told.split_whitespace().collect::<Vec<_>>() != found {
            let cells: String = found.iter().map(|it| format!("{it:8}")).collect();
            differing += &format!("\n    {:48}{}", verb.join(" "), cells.trim_end());
        }
        asked.extend([verb[0].to_owned(), verb[..verb.len().min(2)].join(" ")]);
    }
    assert!(differing.is_empty(), "the program ended with:{differing}");
    let missing: Vec<String> = verbs(&fleet).await;
    let missing: Vec<&String> = missing.iter().filter(|it| !asked.contains(*it)).collect();
    assert!(missing.is_empty(), "in no line: {missing:?}");
}

/// Every verb, and those below one.
async fn verbs(fleet: &Fleet) -> Vec<String> {
    let mut all = below(&fleet.ask(&["--help"]).await);
    for verb in all.clone() {
        let inner = below(&fleet.ask(&[&verb, "--help"]).await);
        all.extend(inner.iter().map(|it| format!("{verb} {it}")));
    }
    assert!(all.len() > 22, "{all:?}");
    all
}

fn below(help: &Said) -> Vec<String> {
    let commands = help.out.lines().skip_while(|line| *line != "Commands:");
    // Up to the next heading.
    let lines = commands
        .skip(1)
        .take_while(|line| line.is_empty() || line.starts_with(' '));
    let verbs = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let words = verbs.map(|line| line.split_whitespace().next().unwrap().to_owned());
    words.filter(|verb| verb != "help").collect()
}

/// A desk that was stopped as soon as it was open.
async fn opened(fleet: &Fleet, env: &[(&str, &str)], verb: &[&str]) -> Said {
    let mut command = fleet.command(verb);
    command.envs(env.iter().copied());
    let mut desk = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(desk.stderr.take().unwrap()).lines();
    let mut err = String::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        err += &line;
        if line.contains("the desk is open") {
            signal(&desk, "TERM");
        }
    }
    Said {
        code: desk.wait().await.unwrap().code(),
        out: String::new(),
        err,
    }
}
