//! Acts and redrives on the desk, over real HTTP on a real database: what a form says, what a click does once, and who
//! may not.

mod one;
mod redrive;

use std::collections::BTreeMap;

use outboxd::config::{Config, Needs, Sources};
use outboxd::desk::{self, Role};
use reqwest::{Client, Method};
use serde_json::Value;
use sqlx::{ConnectOptions, PgPool};
use tokio::sync::watch;

/// Settled and waiting ones with names, and marks that no page may let through.
const ROWS: &str = r#"
    insert into outboxd.notification_delivery
        (id, key, app, event_type, aggregate_type, aggregate_id, recipient, payload, priority, attempts, lease_epoch,
         format_version, created_at, created_by, status, reason, errcode, may_have_arrived, settled_at, settled_by)
    select 1000 + n, gen_random_uuid(), 'default', 'customer_assigned', 'customer', '10086', '42',
           '{"aggregate_label": "李女士", "recipient_label": "王小明", "phone": "13800138000", "n": 12345678901234567890.10}',
           2, 3, 0, 1, now() - interval '1 hour', 'crm', status, reason, code, doubt, now() - interval '1 minute', 'daemon-a'
      from (values (1, 'delivered', 'accepted', null, false), (2, 'dead', 'not_subscribed', 43101, false),
                   (3, 'dead', 'attempts_spent', null, true)) v(n, status, reason, code, doubt);
    insert into outboxd.notification_outbox (id, event_type, aggregate_id, recipient, attempts, next_attempt_at, payload)
    overriding system value
    values (2001, 'customer_assigned', '10088', '42', 1, now() + interval '10 minutes', '{"phone": "13700137000"}');
    select setval(pg_get_serial_sequence('outboxd.notification_outbox', 'id'), 3000);"#;

struct Desk {
    base: String,
    client: Client,
    folder: std::path::PathBuf,
    stop: watch::Sender<bool>,
    open: Option<desk::Open>,
}

impl Desk {
    /// `wang` and `chen` may act, `li` may look.
    async fn open(pool: &PgPool, settings: &[(&str, &str)]) -> Desk {
        let folder = std::env::temp_dir().join(format!("outboxd-acts-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&folder).unwrap();
        let users = folder.join("users");
        let line = |name, role| desk::line_for_password(name, role, "correct horse").unwrap();
        let lines = [
            line("wang", Role::Operator),
            line("chen", Role::Operator),
            line("li", Role::Viewer),
        ];
        std::fs::write(&users, lines.join("\n")).unwrap();
        let mut sources = Sources::from_system(BTreeMap::new());
        let url = pool.connect_options().to_url_lossy().to_string();
        let users = users.display().to_string();
        let given = [
            ("DATABASE_URL", url.as_str()),
            ("OUTBOXD_DESK_LISTEN", "127.0.0.1:0"),
            ("OUTBOXD_DESK_USERS", &users),
            ("OUTBOXD_LANG", "zh"),
        ];
        sources.env = given
            .iter()
            .chain(settings)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        sources.read_file = Box::new(|_| Err(std::io::ErrorKind::NotFound.into()));
        let config = Config::load(&sources, Needs::Desk).unwrap();
        let (stop, stopped) = watch::channel(false);
        let open = desk::open(&config, false, stopped).await.unwrap();
        // It builds no client without one, though nothing here speaks TLS.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .unwrap();
        Desk {
            base: format!("http://{}", open.address),
            client,
            folder,
            stop,
            open: Some(open),
        }
    }

    async fn of(&self, name: &str) -> Visitor<'_> {
        let mut visitor = Visitor {
            desk: self,
            cookies: BTreeMap::new(),
        };
        let page = visitor.get("/login").await;
        let fields = [("name", name), ("password", "correct horse")];
        let answer = visitor.post("/login", &page, &fields).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        visitor
    }

    /// Ends as SIGTERM ends it.
    async fn close(mut self) {
        self.stop.send(true).unwrap();
        self.open.take().unwrap().ended().await;
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A browser that keeps its cookies.
#[derive(Clone)]
struct Visitor<'a> {
    desk: &'a Desk,
    cookies: BTreeMap<String, String>,
}

impl Visitor<'_> {
    async fn get(&mut self, path: &str) -> Page {
        self.send(Method::GET, path, String::new()).await
    }

    /// Sends the form of a page: its hidden fields, and what is typed.
    async fn post(&mut self, path: &str, form: &Page, typed: &[(&str, &str)]) -> Page {
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        for name in ["form_token", "seen", "version", "form"] {
            if let Some(value) = form.hidden(name) {
                body.append_pair(name, &value);
            }
        }
        body.extend_pairs(typed);
        self.send(Method::POST, path, body.finish()).await
    }

    async fn send(&mut self, method: Method, path: &str, body: String) -> Page {
        let url = format!("{}{path}", self.desk.base);
        let pair = |(name, value): (&String, &String)| format!("{name}={value}");
        let cookies: Vec<String> = self.cookies.iter().map(pair).collect();
        let answer = self
            .desk
            .client
            .request(method, url)
            .header("cookie", cookies.join("; "))
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body)
            .send()
            .await
            .unwrap();
        for set in answer.headers().get_all("set-cookie") {
            let pair = set.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        let location = answer.headers().get("location");
        Page {
            status: answer.status().as_u16(),
            location: location.map_or_else(String::new, |to| to.to_str().unwrap().to_owned()),
            body: answer.text().await.unwrap(),
        }
    }
}

#[derive(Clone)]
struct Page {
    status: u16,
    location: String,
    body: String,
}

impl Page {
    fn hidden(&self, name: &str) -> Option<String> {
        let (_, rest) = self.body.split_once(&format!("name=\"{name}\" value=\""))?;
        Some(rest.split('"').next().unwrap().to_owned())
    }

    #[track_caller]
    fn is(&self, status: u16) -> &Page {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }

    #[track_caller]
    fn has(&self, text: &str) -> &Page {
        assert!(self.body.contains(text), "no {text:?} in\n{}", self.body);
        self
    }

    #[track_caller]
    fn lacks(&self, text: &str) -> &Page {
        assert!(!self.body.contains(text), "{text:?} in\n{}", self.body);
        self
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }
}
