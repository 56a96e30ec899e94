//! The desk over real HTTP on a real database: who gets in, what a page says, and what it never says.

mod door;
mod pages;

use std::collections::BTreeMap;

use outboxd::config::{Config, Needs, Sources};
use outboxd::desk;
use reqwest::{Client, Method, RequestBuilder, Response};
use sqlx::{ConnectOptions, PgPool};
use tokio::sync::watch;

/// A desk on a free port, with its browser.
pub(super) struct Desk {
    pub(super) base: String,
    client: Client,
    /// Ends the desk with this value.
    _stop: watch::Sender<bool>,
    /// Holds what the settings name.
    _folder: Option<Folder>,
}

impl Desk {
    pub(super) async fn open(pool: &PgPool, settings: &[(&str, &str)]) -> Desk {
        Desk::try_open(pool, settings).await.unwrap()
    }

    pub(super) async fn try_open(pool: &PgPool, settings: &[(&str, &str)]) -> anyhow::Result<Desk> {
        let url = pool.connect_options().to_url_lossy().to_string();
        let mut env = BTreeMap::from([
            ("DATABASE_URL".to_owned(), url),
            ("OUTBOXD_DESK_LISTEN".to_owned(), "127.0.0.1:0".to_owned()),
            ("OUTBOXD_LANG".to_owned(), "zh".to_owned()),
        ]);
        env.extend(
            settings
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        let mut sources = Sources::from_system(BTreeMap::new());
        sources.env = env;
        sources.read_file = Box::new(|_| Err(std::io::ErrorKind::NotFound.into()));
        let config = Config::load(&sources, Needs::Desk).unwrap();
        let (stop, stopped) = watch::channel(false);
        let open = desk::open(&config, false, stopped).await?;
        // It builds no client without one, though nothing here speaks TLS.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Desk {
            base: format!("http://{}", open.address),
            client,
            _stop: stop,
            _folder: None,
        })
    }

    /// A desk with two people: `wang` may act, `li` may look; `crm` bears a token. Returns the token.
    pub(super) async fn with_people(pool: &PgPool, settings: &[(&str, &str)]) -> (Desk, String) {
        let folder = Folder::new();
        let (token, crm) = desk::line_for_token("crm", desk::Role::Operator);
        let lines = [
            "# who may come in".to_owned(),
            desk::line_for_password("wang", desk::Role::Operator, "correct horse").unwrap(),
            desk::line_for_password("li", desk::Role::Viewer, "battery staple").unwrap(),
            crm,
        ];
        std::fs::write(folder.users(), lines.join("\n")).unwrap();
        let users = folder.users().display().to_string();
        let mut all = vec![("OUTBOXD_DESK_USERS", users.as_str())];
        all.extend(settings);
        let mut desk = Desk::open(pool, &all).await;
        desk._folder = Some(folder);
        (desk, token)
    }

    pub(super) fn users(&self) -> std::path::PathBuf {
        self._folder.as_ref().unwrap().users()
    }

    pub(super) fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    pub(super) async fn get(&self, path: &str) -> Page {
        Page::of(self.ask(Method::GET, path).send().await.unwrap()).await
    }

    /// A browser that keeps its cookies.
    pub(super) fn visitor(&self) -> Visitor<'_> {
        Visitor {
            desk: self,
            cookies: BTreeMap::new(),
        }
    }

    pub(super) async fn logged_in(&self, name: &str, password: &str) -> Visitor<'_> {
        let mut visitor = self.visitor();
        visitor.get("/login").await;
        let answer = visitor
            .post("/login", &[("name", name), ("password", password)])
            .await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        visitor
    }
}

pub(super) struct Page {
    pub(super) status: u16,
    pub(super) headers: reqwest::header::HeaderMap,
    pub(super) body: String,
}

impl Page {
    async fn of(response: Response) -> Page {
        Page {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.text().await.unwrap(),
        }
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub(super) fn has(&self, text: &str) -> &Page {
        assert!(self.body.contains(text), "no {text:?} in\n{}", self.body);
        self
    }

    pub(super) fn lacks(&self, text: &str) -> &Page {
        assert!(!self.body.contains(text), "{text:?} in\n{}", self.body);
        self
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }
}

pub(super) struct Visitor<'a> {
    desk: &'a Desk,
    pub(super) cookies: BTreeMap<String, String>,
}

impl Visitor<'_> {
    pub(super) async fn get(&mut self, path: &str) -> Page {
        self.send(self.desk.ask(Method::GET, path)).await
    }

    /// A form of the page that was open last, with the token every page carries.
    pub(super) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let token = self.form_token().await;
        let mut fields = fields.to_vec();
        fields.push(("form_token", &token));
        self.post_bare(path, &fields, &[("sec-fetch-site", "same-origin")])
            .await
    }

    pub(super) async fn post_bare(
        &mut self,
        path: &str,
        fields: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Page {
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(fields);
        let mut request = self
            .desk
            .ask(Method::POST, path)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body.finish());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request).await
    }

    /// From the page that has a form for everybody who is in, else from the login.
    pub(super) async fn form_token(&mut self) -> String {
        for path in ["/messages/1002", "/login"] {
            let page = self.get(path).await;
            if let Some((_, rest)) = page.body.split_once("name=\"form_token\" value=\"") {
                return rest.split('"').next().unwrap().to_owned();
            }
        }
        panic!("no page with a form");
    }

    async fn send(&mut self, request: RequestBuilder) -> Page {
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .map(|(n, v)| format!("{n}={v}"))
            .collect();
        let page = Page::of(
            request
                .header("cookie", cookies.join("; "))
                .send()
                .await
                .unwrap(),
        )
        .await;
        for set in page.headers.get_all("set-cookie") {
            let pair = set.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        page
    }
}

/// A folder that goes with the test.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new() -> Folder {
        let path = std::env::temp_dir().join(format!("outboxd-desk-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&path).unwrap();
        Folder(path)
    }

    fn users(&self) -> std::path::PathBuf {
        self.0.join("users")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Settled and waiting rows with names, a phone number, and marks that no page may let through.
pub(super) const ROWS: &str = r#"
    insert into outboxd.notification_delivery
        (id, key, app, event_type, aggregate_type, aggregate_id, recipient, payload, priority, attempts, lease_epoch,
         format_version, created_at, created_by, status, reason, errcode, may_have_arrived, settled_at, settled_by)
    select 1000 + n, gen_random_uuid(), 'default', 'customer_assigned', 'customer', '10086', '42',
           '{"aggregate_label": "李女士", "recipient_label": "王小明", "phone": "13800138000"}', 2, 3, 0, 1,
           now() - interval '1 hour', 'crm', status, reason, code, false, now() - interval '1 minute', 'daemon-a'
      from (values (1, 'delivered', 'accepted', null), (2, 'dead', 'not_subscribed', 43101)) v(n, status, reason, code);
    insert into outboxd.notification_outbox (event_type, aggregate_id, recipient, attempts, next_attempt_at, payload)
    values ('customer_assigned', '10088', '42', 1, now() + interval '10 minutes', '{"phone": "13700137000"}');
    insert into outboxd.notification_attempt
        (notification_id, attempt, app, lease_token, daemon, started_at, ended_at, phase, outcome, sentence, latency_ms, detail)
    select id, 1, 'default', gen_random_uuid(), 'daemon-a', now(), now(), 'sent', 'unknown', 'timed_out', 10012,
           'openid oABCD1234efgh5678IJKL9012_-x 13600136000'
      from outboxd.notification_outbox where aggregate_id = '10088';"#;
