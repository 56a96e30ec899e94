//! What the desk answers to whom: every route, each person, and a database that allows it or does not.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use sqlx::PgPool;

use super::url_of;
use crate::desk::{Desk, Page, Visitor, signed};
use crate::harness::{create_roles, run};

/// Who asks, and the role under which the desk itself logs in to the database.
const ASKS: [(&str, &str); 10] = [
    ("nobody", "desk"),
    ("li", "desk"),
    ("wang", "desk"),
    ("li", "support"),
    ("wang", "support"),
    ("wang", "admin"),
    ("wang", "daemon"),
    ("wang", "crm"),
    ("li", "read-only"),
    ("wang", "read-only"),
];

/// `ok`: shown, or done. `db`: a sentence that the desk's login may not do this, and which role may. Otherwise the
/// status, with its sentence. A path with a twin under `/api` is asked there too, and must be answered alike.
const CELLS: &str = "
                                          desk                 support        admin  daemon crm    read-only
                                          nobody li     wang   li     wang   wang   wang   wang   li     wang
    GET  /                                401    ok     ok     ok     ok     ok     ok     ok     ok     ok
    GET  /search?q=10086                  401    ok     ok     ok     ok     ok     ok     db     ok     ok
    GET  /search?q=李女士                    401    ok     ok     ok     ok     ok     ok     db     ok     ok
    GET  /messages                        401    ok     ok     ok     ok     ok     ok     db     ok     ok
    GET  /messages/newer?after=1          401    ok     ok     ok     ok     ok     ok     db     ok     ok
    GET  /messages/export.csv             401    ok     ok     ok     ok     ok     ok     db     ok     ok
    GET  /messages/export.json            401    ok     ok     ok     ok     ok     ok     db     ok     ok
    GET  /messages/1002                   401    ok     ok     ok     ok     ok     ok     db     ok     ok
    GET  /messages/1002/sheet             401    ok     ok     ok     ok     ok     ok     db     ok     ok
    GET  /messages/1002/resend            401    403    ok     403    db     ok     ok     db     403    403
    GET  /messages/1002/handled           401    403    ok     403    db     ok     ok     db     403    403
    GET  /messages/1002/redirect          401    403    ok     403    db     ok     ok     db     403    403
    GET  /messages/1002/correct           401    403    ok     403    db     ok     ok     db     403    403
    GET  /messages/2001/cancel            401    403    ok     403    db     ok     ok     db     403    403
    GET  /dead                            401    ok     ok     ok     ok     ok     ok     db     ok     ok
    GET  /dead/export.csv                 401    ok     ok     ok     ok     ok     ok     db     ok     ok
    GET  /calls                           401    ok     ok     ok     ok     ok     ok     db     ok     ok
    GET  /calls/export.csv                401    ok     ok     ok     ok     ok     ok     db     ok     ok
    GET  /bulk                            401    ok     ok     ok     ok     ok     db     db     ok     ok
    GET  /bulk/new                        401    ok     ok     ok     ok     ok     ok     db     ok     ok
    GET  /bulk/1                          401    ok     ok     ok     ok     ok     db     db     ok     ok
    GET  /bulk/1/progress                 401    ok     ok     ok     ok     ok     db     db     ok     ok
    GET  /audit                           401    ok     ok     ok     ok     ok     ok     db     ok     ok
    GET  /audit/export.csv                401    ok     ok     ok     ok     ok     ok     db     ok     ok
    GET  /audit/export.json               401    ok     ok     ok     ok     ok     ok     db     ok     ok
    GET  /overview                        401    ok     ok     ok     ok     ok     ok     db     ok     ok
    GET  /system                          401    ok     ok     ok     ok     ok     ok     db     ok     ok
    GET  /pulse                           401    ok     ok     ok     ok     ok     ok     db     ok     ok
    GET  /help                            401    ok     ok     ok     ok     ok     ok     ok     ok     ok
    GET  /api/openapi.json                401    ok     ok     ok     ok     ok     ok     ok     ok     ok
    GET  /badge/10086/42?SIGNED           ok     ok     ok     ok     ok     ok     ok     503    ok     ok
    GET  /badge/10086/42/image.svg?SIGNED ok     ok     ok     ok     ok     ok     ok     503    ok     ok
    GET  /badge/10086/42                  400    400    400    400    400    400    400    400    400    400
    GET  /login                           ok     ok     ok     ok     ok     ok     ok     ok     ok     ok
    GET  /assets/HASH/desk.css            ok     ok     ok     ok     ok     ok     ok     ok     ok     ok
    GET  /robots.txt                      ok     ok     ok     ok     ok     ok     ok     ok     ok     ok
    GET  /livez                           ok     ok     ok     ok     ok     ok     ok     ok     ok     ok
    POST /messages/1002/resend            401    403    ok     403    db     ok     db     db     403    403
    POST /messages/1002/handled           401    403    ok     403    db     ok     db     db     403    403
    POST /messages/1002/redirect          401    403    ok     403    db     ok     db     db     403    403
    POST /messages/1002/correct           401    403    ok     403    db     ok     db     db     403    403
    POST /messages/2001/cancel            401    403    ok     403    db     ok     db     db     403    403
    POST /messages/1002/reveal            401    403    ok     403    db     ok     ok     db     403    403
    POST /calls/handled                   401    403    ok     403    db     ok     db     db     403    403
    POST /calls/reveal                    401    403    ok     403    db     ok     ok     db     403    403
    POST /bulk/new                        401    403    ok     403    db     ok     db     db     403    403
    POST /bulk/1                          401    403    ok     403    db     ok     db     db     403    403
    POST /system/pause                    401    403    ok     403    db     ok     ok     db     403    403
    POST /system/resume                   401    403    ok     403    db     ok     ok     db     403    403
    POST /login                           401    401    401    401    401    401    401    401    401    401
    POST /logout                          ok     ok     ok     ok     ok     ok     ok     ok     ok     ok
";

const SECRET: &str = "a-secret-of-the-desk";

/// One that was given up, one that waits, and a redrive that is planned.
pub(super) const STAGE: &str = r#"
    truncate outboxd.notification_outbox, outboxd.notification_delivery, outboxd.audit_log, outboxd.notification_handled,
        outboxd.notification_successor, outboxd.bulk_redrive, outboxd.bulk_redrive_underway, outboxd.app_state restart identity;
    insert into outboxd.notification_delivery
        (id, key, app, event_type, aggregate_type, aggregate_id, recipient, payload, priority, attempts, lease_epoch,
         format_version, created_at, created_by, status, reason, errcode, may_have_arrived, settled_at, settled_by)
    values (1002, gen_random_uuid(), 'default', 'customer_assigned', 'customer', '10086', '42',
            '{"aggregate_label": "李女士", "recipient_label": "王小明", "phone": "13800138000"}', 2, 3, 0, 1,
            now() - interval '1 hour', 'crm', 'dead', 'not_subscribed', 43101, false, now() - interval '1 minute', 'daemon-a');
    insert into outboxd.notification_outbox (id, event_type, aggregate_id, recipient, next_attempt_at)
    overriding system value values (2001, 'customer_assigned', '10088', '42', now() + interval '1 hour');
    select setval(pg_get_serial_sequence('outboxd.notification_outbox', 'id'), 3000);
    insert into outboxd.bulk_redrive (statuses, settled_until, with_doubtful, with_late, preview, why, planned_by, changed_by, per_second, stop_above)
    values ('{dead}', now(), false, false, '{"count": 1, "is_more": false, "oldest": null, "stale": 0, "late": 0, "doubtful": 0, "ordered": 0}', 'r', 'wang', 'wang', 5, 20);"#;

/// What is typed into the form that this path is posted from.
pub(super) fn typed(path: &str) -> Vec<(&'static str, &'static str)> {
    // A filter has no reason but a cause.
    if path.ends_with("/bulk/new") {
        return vec![("status", "dead"), ("since", "7d"), ("why", "r")];
    }
    let mut fields = vec![("reason", "客户来电"), ("app", "default")];
    fields.extend_from_slice(match path.rsplit('/').next().unwrap() {
        "handled" => &[("outcome", "told")][..],
        "redirect" => &[("recipient", "43"), ("recipient_name", "陈静")],
        "correct" => &[("field:/aggregate_label", "王女士")],
        "1" => &[("order", "cancel"), ("version", "1")],
        "login" => &[("name", "nobody"), ("password", "correct horse")],
        _ => &[],
    });
    fields
}

#[sqlx::test(migrator = "outboxd::outbox::schema::MIGRATOR")]
async fn each_route_answers_each_person_as_its_line_says(pool: PgPool) {
    create_roles(&pool).await;
    run(&pool, STAGE).await;
    let desks = desks(&pool).await;
    let main = &desks["desk"];
    let mut visitors = BTreeMap::from([("nobody", main.visitor())]);
    for name in ["li", "wang"] {
        visitors.insert(name, main.of(name).await);
    }
    let mut tokens = BTreeMap::new();
    for (name, visitor) in &mut visitors {
        tokens.insert(*name, visitor.form_token().await);
    }
    let signature = signed(SECRET, "10086", "42", 600);
    let login = main.get("/login").await.body;
    let (before, _) = login.split_once("/desk.css").unwrap();
    let hash = before.rsplit('/').next().unwrap();

    let routes = Route::all();
    let mut asked = BTreeSet::new();
    let mut differing = String::new();
    // Below the heads.
    for line in CELLS.lines().skip(3).filter(|line| !line.trim().is_empty()) {
        let mut words = line.split_whitespace();
        let method: Method = words.next().unwrap().parse().unwrap();
        let row = words.next().unwrap();
        let route = Route::of(&routes, &method, row);
        asked.insert(route);
        let path = row.replace("SIGNED", &signature).replace("HASH", hash);
        let mut found = Vec::new();
        for (name, role) in ASKS {
            let mut cells = BTreeSet::new();
            for prefix in ["", "/api"].into_iter().take(1 + usize::from(route.twin)) {
                let mut visitor = desks[role].visitor();
                visitor.cookies = visitors[name].cookies.clone();
                let path = format!("{prefix}{path}");
                let page = if method == Method::GET {
                    visitor.get(&path).await
                } else {
                    run(&pool, STAGE).await;
                    let seen = seen(visitors.get_mut("wang").unwrap(), row).await;
                    let mut fields = typed(row);
                    fields.push(("form_token", &*tokens[name]));
                    // A filter has no version.
                    if row != "/bulk/new" {
                        fields.push(("seen", &*seen));
                    }
                    let page = visitor.post_bare(&path, &fields, &[]).await;
                    // The session has ended where it looks on for the next column.
                    if (row, name, role) == ("/logout", "wang", "desk") {
                        let mut wang = main.of(name).await;
                        tokens.insert(name, wang.form_token().await);
                        visitors.insert(name, wang);
                    }
                    page
                };
                cells.insert(cell(&page, &path));
            }
            found.push(cells.into_iter().collect::<Vec<_>>().join("/"));
        }
        if words.collect::<Vec<_>>() != found {
            let cells: String = found.iter().map(|it| format!("{it:7}")).collect();
            differing += &format!("\n    {method:4} {row:33}{}", cells.trim_end());
        }
    }
    assert!(differing.is_empty(), "the desk answered:{differing}");
    let missing: Vec<_> = routes.iter().filter(|it| !asked.contains(it)).collect();
    assert!(missing.is_empty(), "in no line: {missing:?}");
}

async fn desks(pool: &PgPool) -> BTreeMap<&'static str, Desk> {
    let mut desks = BTreeMap::new();
    for name in ["desk", "support", "admin", "daemon", "crm", "read-only"] {
        let (role, read_only) = match name {
            "read-only" => ("desk", "true"),
            role => (role, "false"),
        };
        let url = url_of(pool, role);
        let settings = [
            ("DATABASE_URL", &*url),
            ("OUTBOXD_DESK_READ_ONLY", read_only),
            // One secret, so that who is logged in to one desk is logged in to each.
            ("OUTBOXD_DESK_SECRET", SECRET),
            ("OUTBOXD_DESK_BADGE_SECRET", SECRET),
        ];
        desks.insert(name, Desk::staffed(pool, &settings).await);
    }
    desks
}

/// What somebody had before their eyes who may act on what this path names.
async fn seen(wang: &mut Visitor<'_>, path: &str) -> String {
    let form = match path {
        "/calls/handled" | "/calls/reveal" => "/calls",
        "/messages/2001/cancel" | "/messages/1002/handled" => path,
        _ => "/messages/1002/resend",
    };
    wang.get(form).await.hidden("seen").unwrap()
}

fn cell(page: &Page, path: &str) -> String {
    let refused = match path.starts_with("/api/") {
        true if page.status == 500 => page.json()["error"] == "no_right",
        _ => page.body.contains("客服台的数据库登录没有这个权限"),
    };
    match page.status {
        200..400 => "ok".to_owned(),
        500 if refused => {
            page.has("outboxd_desk");
            "db".to_owned()
        }
        status => status.to_string(),
    }
}

/// A line of `all` in src/desk/mod.rs.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Route {
    pub(super) method: String,
    pub(super) path: String,
    /// It is served under `/api` too.
    pub(super) twin: bool,
}

impl Route {
    pub(super) fn all() -> Vec<Route> {
        let source = include_str!("../../../src/desk/mod.rs");
        let (_, all) = source.split_once("\nfn all(").unwrap();
        let (all, _) = all.split_once("\n}").unwrap();
        let mut routes = Vec::new();
        for call in all.split("routes.").skip(1) {
            let twin = call.starts_with("page(");
            assert!(twin || call.starts_with("plain("), "{call}");
            let before = routes.len();
            for (word, method) in [("get(", "GET"), ("post(", "POST")] {
                if call.contains(word) {
                    let path = call.split('"').nth(1).unwrap().to_owned();
                    let method = method.to_owned();
                    routes.push(Route { method, path, twin });
                }
            }
            assert!(routes.len() > before, "no method of {call}");
        }
        routes
    }

    fn own_words(&self) -> usize {
        let words = self.path.split('/');
        words.filter(|word| !word.starts_with('{')).count()
    }

    /// The one that answers this path: of those that fit, the one with the most words of its own.
    pub(super) fn of<'a>(routes: &'a [Route], method: &Method, path: &str) -> &'a Route {
        let asked: Vec<&str> = path.split('?').next().unwrap().split('/').collect();
        let fits = |route: &&Route| {
            let parts: Vec<&str> = route.path.split('/').collect();
            let mut pairs = parts.iter().zip(&asked);
            route.method == method.as_str()
                && parts.len() == asked.len()
                && pairs.all(|(part, word)| part.starts_with('{') || part == word)
        };
        let found = routes
            .iter()
            .filter(fits)
            .max_by_key(|route| route.own_words());
        found.unwrap_or_else(|| panic!("no route for {method} {path}"))
    }
}
