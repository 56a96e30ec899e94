//! The three targets: what each needs, what it refuses, and what it has no use for.

use super::{APPID, APPSECRET, Machine, URL};
use crate::config::{Lang, OpenidSource, TargetConfig};
use crate::delivery::OnUnknown;
use crate::policy::AwaitGrant;

const MAPPING: &str = r#"{"customer_assigned": {"templateId": "T1", "fields": {"thing1": {"from": "payload.name"}}}}"#;
const WEBHOOK: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn http(url: &str) -> Machine {
    Machine::default()
        .env("DATABASE_URL", URL)
        .env("OUTBOXD_TARGET", "http")
        .env("OUTBOXD_TARGET_URL", url)
        .env("OUTBOXD_WEBHOOK_SECRET", WEBHOOK)
}

fn send() -> Machine {
    Machine::default()
        .env("DATABASE_URL", URL)
        .env("MINIPROGRAM_APPID", APPID)
        .env("MINIPROGRAM_APPSECRET", APPSECRET)
        .env("OUTBOXD_TARGET", "subscribe-send")
        .env("OUTBOXD_TEMPLATES", "/etc/outboxd/templates.json")
        .env("OUTBOXD_OPENID_FROM", "payload.openid")
        .file("/etc/outboxd/templates.json", MAPPING)
}

/// The one mistake, in English.
fn mistake(machine: Machine) -> String {
    let refused = machine.refused();
    let [finding] = &refused.mistakes[..] else {
        panic!("{:?}", refused.mistakes);
    };
    format!(
        "{} → {}",
        finding.sentence(Lang::En),
        finding.way_out(Lang::En)
    )
}

#[test]
fn a_receiver_of_ones_own_needs_no_mini_program() {
    let config = http("https://example.com/notify?code=canary").config();
    let TargetConfig::Http(it) = &config.apps[0].target else {
        panic!("{:?}", config.apps);
    };
    assert_eq!(it.url.0.as_str(), "https://example.com/notify?code=canary");
    assert_eq!(
        (it.may_be_internal, it.on_unknown),
        (false, OnUnknown::Stop)
    );
    assert_eq!(config.warnings, []);
    let printed = format!("{config:?} {:?}", config.describe(Lang::En));
    assert!(
        !printed.contains("canary") && !printed.contains("MfKQ"),
        "{printed}"
    );
}

#[test]
fn an_internal_address_has_to_be_allowed() {
    for url in [
        "http://127.0.0.1:8080/x",
        "http://localhost:8080",
        "https://10.0.0.7",
        "https://169.254.169.254/latest",
        "https://[::1]",
        "https://[::ffff:10.0.0.7]",
        "https://0x7f000001",
    ] {
        let said = mistake(http(url));
        assert!(
            said.contains("is an internal address → if it is meant, set OUTBOXD_ALLOW to "),
            "{said}"
        );
    }
    for (url, allow) in [
        ("http://127.0.0.1:8080/x", "127.0.0.1:8080"),
        ("https://10.0.0.7", "crm.internal:443, 10.0.0.7:443"),
        ("https://[::1]", "[::1]:443"),
        ("https://CRM.internal/x", "crm.internal:443"),
    ] {
        let config = http(url).env("OUTBOXD_ALLOW", allow).config();
        let TargetConfig::Http(it) = &config.apps[0].target else {
            panic!()
        };
        assert!(it.may_be_internal, "{url}");
    }
    // Another port is another service.
    mistake(http("http://127.0.0.1:8080").env("OUTBOXD_ALLOW", "127.0.0.1:8081"));
    let said = mistake(http("http://crm.internal/").env("OUTBOXD_ALLOW", "crm.internal:80"));
    assert!(said.contains("unencrypted"), "{said}");
    let said = mistake(http("https://example.com").env("OUTBOXD_ALLOW", "10.0.0.0/8"));
    assert!(said.contains("which is no host with its port"), "{said}");
    let said = mistake(http("https://u:canary@example.com"));
    assert!(
        said.contains("user name") && !said.contains("canary"),
        "{said}"
    );
    let said = mistake(http("https://example.com").env("OUTBOXD_WEBHOOK_SECRET", "whsec_canary"));
    assert!(
        said.contains("24 to 64 bytes") && !said.contains("canary"),
        "{said}"
    );
}

#[test]
fn sending_directly_needs_templates_and_one_place_for_the_openid() {
    let config = send().config();
    let TargetConfig::SubscribeSend(it) = &config.apps[0].target else {
        panic!()
    };
    assert_eq!(it.openid, OpenidSource::Event("payload.openid".to_owned()));
    assert_eq!(it.on_unknown, OnUnknown::Stop);
    assert_eq!(config.warnings, []);
    let query = "select openid from staff where id = $1::bigint";
    let queried = || {
        let mut machine = send();
        machine.env.remove("OUTBOXD_OPENID_FROM");
        machine
    };
    let config = queried()
        .env("OUTBOXD_OPENID_QUERY", &format!("{query};\n"))
        .config();
    let TargetConfig::SubscribeSend(it) = &config.apps[0].target else {
        panic!()
    };
    assert_eq!(it.openid, OpenidSource::Query(query.to_owned()));

    for (machine, expected) in [
        (
            queried(),
            "OUTBOXD_OPENID_FROM and OUTBOXD_OPENID_QUERY are both missing",
        ),
        (
            queried().env("OUTBOXD_OPENID_QUERY", "select 1"),
            "does not ask for the recipient, $1",
        ),
        (
            send().env("OUTBOXD_OPENID_QUERY", query),
            "is given together with OUTBOXD_OPENID_QUERY",
        ),
        (
            send().env("OUTBOXD_ON_UNKNOWN", "inquire"),
            "is not for target = subscribe-send",
        ),
        (send().env("OUTBOXD_TEMPLATES", "/none"), "cannot be read"),
        (
            send().file("/etc/outboxd/templates.json", &MAPPING.replace("T1", "")),
            "is no mapping of templates: customer_assigned: templateId is missing",
        ),
        (send().env("OUTBOXD_TARGET", "htpp"), "did you mean http?"),
    ] {
        let said = mistake(machine);
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn what_another_target_would_use_is_doubted() {
    let doubts = |machine: Machine| -> Vec<String> {
        let config = machine.config();
        config
            .warnings
            .iter()
            .map(|doubt| doubt.warning(Lang::En))
            .collect()
    };
    let said = doubts(Machine::configured().env("OUTBOXD_ON_UNKNOWN", "resend"));
    assert!(
        said[0].contains("has no effect with target = cloud-function"),
        "{said:?}"
    );
    // The CRM may have them for itself.
    assert_eq!(
        doubts(http("https://example.com").env("MINIPROGRAM_APPID", APPID)),
        [""; 0]
    );
}

#[test]
fn which_types_wait_for_a_grant() {
    let given = |machine: Machine| -> AwaitGrant {
        let config = machine.config();
        let TargetConfig::CloudFunction(it) = &config.apps[0].target else {
            panic!()
        };
        it.await_grant.clone()
    };
    let types = |text: &str| given(Machine::configured().env("OUTBOXD_AWAIT_GRANT", text));
    assert_eq!(given(Machine::configured()), AwaitGrant::Never);
    assert_eq!(types("*"), AwaitGrant::Always);
    let two = ["customer_assigned".to_owned(), "客户流失".to_owned()];
    assert_eq!(
        types("customer_assigned, 客户流失"),
        AwaitGrant::For(two.into())
    );
    for (text, expected) in [
        (
            "customer_*",
            "has \"customer_*\" in it, and there are no patterns",
        ),
        ("* lead_lost", "has `*` beside other types"),
    ] {
        let said = mistake(Machine::configured().env("OUTBOXD_AWAIT_GRANT", text));
        assert!(said.contains(expected), "{said}");
    }
}

/// Where nothing would end the wait, nothing begins it.
#[test]
fn only_a_function_with_a_ledger_lets_notifications_wait() {
    for machine in [http("https://example.com"), send()] {
        let said = mistake(machine.env("OUTBOXD_AWAIT_GRANT", "*"));
        assert!(
            said.contains("OUTBOXD_AWAIT_GRANT") && said.contains("no ledger there can be asked"),
            "{said}"
        );
    }
}
