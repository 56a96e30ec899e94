//! The same on the command line: a redrive from plan to end with a real daemon, and what is done by hand.

use std::process::Stdio;

use serde_json::Value;
use sqlx::PgPool;

use super::settle;
use crate::fleet::Fleet;
use crate::harness::{number, run};

async fn done(fleet: &Fleet, arguments: &[&str]) -> Value {
    let said = fleet.ask(&[arguments, &["--json"]].concat()).await;
    said.ends_with(0).json()
}

const PLAN: &[&str] = &[
    "bulk",
    "plan",
    "--status",
    "dead",
    "--cause",
    "template_wrong",
    "--reason",
    "template fixed",
];

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn a_redrive_goes_from_plan_to_end(pool: PgPool) {
    let fleet = Fleet::new(&pool).await;
    settle(&pool, 1, 12, "dead", "template_wrong").await;
    settle(&pool, 21, 3, "dead", "not_subscribed").await;
    run(
        &pool,
        "update outboxd.notification_delivery set may_have_arrived = true where id = 12",
    )
    .await;
    let plan = done(&fleet, PLAN).await;
    assert_eq!(plan["bulks"][0]["preview"]["count"], 11);
    assert_eq!(plan["bulks"][0]["state"], "planned");
    let said = fleet.ask(&["bulk", "start", "1", "--lang", "en"]).await;
    assert_eq!(said.code, Some(2), "without a terminal nobody is asked");

    let mut start = fleet.command(&["bulk", "start", "1", "--yes", "--json"]);
    let mut started = start
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let ended = loop {
        fleet.drain().await;
        if let Some(status) = started.try_wait().unwrap() {
            break status;
        }
    };
    assert_eq!(ended.code(), Some(0));
    let said = started.wait_with_output().await.unwrap();
    let end: Value = serde_json::from_slice(&said.stdout).unwrap();
    let it = &end["bulks"][0];
    assert_eq!(
        (&it["state"], &it["redriven"], &it["delivered"]),
        (&"done".into(), &11.into(), &11.into()),
        "{it}"
    );
    assert_eq!(
        number(
            &pool,
            "select count(*) from outboxd.notification_delivery where status = 'dead'"
        )
        .await,
        4
    );

    for (arguments, code, words) in [
        (&["bulk", "start", "1", "--yes"][..], 1, "目前为“已完成”"),
        (
            &["bulk", "pause", "7", "--reason", "r"],
            3,
            "没有批量重发 7",
        ),
        (PLAN, 3, "可能已收到，未列入"),
    ] {
        let said = fleet.ask(&[arguments, &["--lang", "zh"]].concat()).await;
        assert_eq!(said.code, Some(code), "{arguments:?}: {}", said.err);
        assert!(said.err.contains(words), "{arguments:?}: {}", said.err);
    }
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn whom_no_machine_reached_a_person_does(pool: PgPool) {
    let fleet = Fleet::new(&pool).await;
    settle(&pool, 1, 3, "dead", "not_subscribed").await;
    let listed = async || {
        let list = done(&fleet, &["phone"]).await;
        let rows = list["notifications"].as_array().unwrap().clone();
        rows.iter()
            .map(|row| row["id"].as_i64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(listed().await, [3, 2, 1]);
    let handled = ["handled", "3", "told", "--reason", "phoned"];
    assert_eq!(
        done(&fleet, &handled).await["results"][0]["result"],
        "noted"
    );
    assert_eq!(
        done(&fleet, &handled).await["results"][0]["result"],
        "already_noted"
    );
    let redirect = ["redirect", "2", "--to", "43", "--reason", "wrong colleague"];
    assert_eq!(
        done(&fleet, &redirect).await["results"][0]["result"],
        "written"
    );
    let again = fleet
        .ask(&[&redirect[..], &["--lang", "zh"]].concat())
        .await;
    assert_eq!(again.code, Some(1));
    assert!(again.out.contains("代替它"), "{}", again.out);
    assert_eq!(listed().await, [1]);
    let correct = [
        "correct",
        "1",
        "--payload",
        "{\"name\": \"王女士\"}",
        "--reason",
        "wrong name",
    ];
    assert_eq!(
        done(&fleet, &correct).await["results"][0]["result"],
        "written"
    );
    assert!(listed().await.is_empty());
    // Nothing is left for a machine.
    let plan = ["bulk", "plan", "--status", "dead", "--reason", "r"];
    let plan = fleet.ask(&[&plan[..], &["--lang", "zh"]].concat()).await;
    assert_eq!(plan.code, Some(3), "{}", plan.out);
    for left_out in [
        "另有 2 条已改发、更正或已有更新的通知，未列入",
        "另有 1 条已人工处理，未列入",
    ] {
        assert!(plan.err.contains(left_out), "{}", plan.err);
    }
    let wrong = fleet
        .ask(&["correct", "1", "--payload", "[]", "--reason", "r"])
        .await;
    assert_eq!(wrong.code, Some(2));
    let log = done(&fleet, &["audit", "--id", "2"]).await;
    assert_eq!(log["lines"].as_array().unwrap().len(), 1);
    assert_eq!(log["lines"][0]["action"], "redirect");
    assert_eq!(log["lines"][0]["detail"]["after"]["recipient"], "43");
    let page = fleet.ask(&["audit", "--limit", "1", "--lang", "en"]).await;
    assert!(page.err.contains("--before"), "{}", page.err);
    assert_eq!(page.out.trim_end().split('\t').nth(3), Some("correct"));
    // Both are in the timeline of the old one and of the new one.
    for id in ["2", "10000001"] {
        let shown = fleet.ask(&["show", id, "--lang", "zh"]).await;
        assert!(shown.out.contains("改发给他人"), "{}", shown.out);
    }
}
