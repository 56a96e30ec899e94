//! Desks over real HTTP on a real database, and the people who visit them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::LazyLock;

use hmac::{Hmac, KeyInit as _, Mac as _};
use outboxd::config::{Config, Needs, Sources};
use outboxd::desk::{self, Role};
use reqwest::{Client, Method, RequestBuilder, Response};
use sha2::Sha256;
use sqlx::{ConnectOptions, PgPool};
use tokio::sync::watch;

/// Who may come in where there are people: two may act, one may look.
const PEOPLE: [(&str, Role, &str); 3] = [
    ("wang", Role::Operator, "correct horse"),
    ("chen", Role::Operator, "staple battery"),
    ("li", Role::Viewer, "battery staple"),
];

/// Their lines in the file. A password is dear to hash, on purpose.
static LINES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let line = |(name, role, password)| desk::line_for_password(name, role, password).unwrap();
    PEOPLE.map(line).to_vec()
});

/// A desk on a free port, with its browser.
pub(crate) struct Desk {
    pub(crate) base: String,
    client: Client,
    /// Ends the desk with this value.
    stop: watch::Sender<bool>,
    open: desk::Open,
    /// Holds the file of users.
    folder: Option<Folder>,
}

impl Desk {
    /// Nobody has to say who they are.
    pub(crate) async fn open(pool: &PgPool, settings: &[(&str, &str)]) -> Desk {
        Desk::try_open(pool, settings).await.unwrap()
    }

    pub(crate) async fn try_open(pool: &PgPool, settings: &[(&str, &str)]) -> anyhow::Result<Desk> {
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
            stop,
            open,
            folder: None,
        })
    }

    /// A desk with its people: `wang` and `chen` may act, `li` may look.
    pub(crate) async fn staffed(pool: &PgPool, settings: &[(&str, &str)]) -> Desk {
        Desk::with_people(pool, settings).await.0
    }

    /// The same, and the token that `crm` bears.
    pub(crate) async fn with_people(pool: &PgPool, settings: &[(&str, &str)]) -> (Desk, String) {
        let folder = Folder::new();
        let (token, crm) = desk::line_for_token("crm", Role::Operator);
        let lines = format!("# who may come in\n{}\n{crm}\n", LINES.join("\n"));
        std::fs::write(folder.users(), lines).unwrap();
        let users = folder.users().display().to_string();
        let mut all = vec![("OUTBOXD_DESK_USERS", users.as_str())];
        all.extend(settings);
        let mut desk = Desk::open(pool, &all).await;
        desk.folder = Some(folder);
        (desk, token)
    }

    pub(crate) fn users(&self) -> PathBuf {
        self.folder.as_ref().unwrap().users()
    }

    pub(crate) fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    pub(crate) async fn get(&self, path: &str) -> Page {
        Page::of(self.ask(Method::GET, path).send().await.unwrap()).await
    }

    /// A browser that keeps its cookies.
    pub(crate) fn visitor(&self) -> Visitor<'_> {
        Visitor {
            desk: self,
            cookies: BTreeMap::new(),
            named: None,
        }
    }

    /// A browser behind a proxy that names whoever sits there in `X-Forwarded-User`.
    pub(crate) fn behind_a_proxy(&self, name: &'static str) -> Visitor<'_> {
        Visitor {
            named: Some(name),
            ..self.visitor()
        }
    }

    /// The browser of one of its people, logged in.
    pub(crate) async fn of(&self, name: &str) -> Visitor<'_> {
        let (_, _, password) = PEOPLE.iter().find(|person| person.0 == name).unwrap();
        let mut visitor = self.visitor();
        let form = visitor.get("/login").await;
        let answer = visitor
            .submit("/login", &form, &[("name", name), ("password", password)])
            .await;
        answer.is(303);
        visitor
    }

    /// Ends as SIGTERM ends it.
    pub(crate) async fn close(self) {
        self.stop.send(true).unwrap();
        self.open.ended().await;
    }
}

#[derive(Clone)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: String,
}

impl Page {
    pub(crate) async fn of(response: Response) -> Page {
        Page {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.text().await.unwrap(),
        }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The value of a field that its form carries unseen.
    pub(crate) fn hidden(&self, name: &str) -> Option<String> {
        let (_, rest) = self.body.split_once(&format!("name=\"{name}\" value=\""))?;
        Some(rest.split('"').next().unwrap().to_owned())
    }

    #[track_caller]
    pub(crate) fn is(&self, status: u16) -> &Page {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }

    #[track_caller]
    pub(crate) fn has(&self, text: &str) -> &Page {
        assert!(self.body.contains(text), "no {text:?} in\n{}", self.body);
        self
    }

    #[track_caller]
    pub(crate) fn lacks(&self, text: &str) -> &Page {
        assert!(!self.body.contains(text), "{text:?} in\n{}", self.body);
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }
}

#[derive(Clone)]
pub(crate) struct Visitor<'a> {
    desk: &'a Desk,
    pub(crate) cookies: BTreeMap<String, String>,
    named: Option<&'static str>,
}

impl Visitor<'_> {
    pub(crate) async fn get(&mut self, path: &str) -> Page {
        self.send(self.desk.ask(Method::GET, path)).await
    }

    /// Sends a page's form: what it carries unseen, and what is typed.
    pub(crate) async fn submit(&mut self, path: &str, form: &Page, typed: &[(&str, &str)]) -> Page {
        let unseen =
            ["form_token", "seen", "version", "form"].map(|name| (name, form.hidden(name)));
        let mut fields: Vec<(&str, &str)> = unseen
            .iter()
            .filter_map(|(name, value)| Some((*name, value.as_deref()?)))
            .collect();
        fields.extend(typed);
        self.post_bare(path, &fields, &[("sec-fetch-site", "same-origin")])
            .await
    }

    /// Sends these fields from a page of ours, whichever.
    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let token = self.form_token().await;
        let mut fields = fields.to_vec();
        fields.push(("form_token", &token));
        self.post_bare(path, &fields, &[("sec-fetch-site", "same-origin")])
            .await
    }

    pub(crate) async fn post_bare(
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
    pub(crate) async fn form_token(&mut self) -> String {
        for path in ["/messages/1002", "/login"] {
            if let Some(token) = self.get(path).await.hidden("form_token") {
                return token;
            }
        }
        panic!("no page with a form");
    }

    pub(crate) async fn send(&mut self, mut request: RequestBuilder) -> Page {
        if let Some(name) = self.named {
            request = request.header("x-forwarded-user", name);
        }
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

/// What a CRM that knows the secret adds to a badge's address, good for so many seconds.
pub(crate) fn signed(secret: &str, customer: &str, recipient: &str, ahead: i64) -> String {
    let expires = chrono::Utc::now().timestamp() + ahead;
    let text = serde_json::json!([customer, recipient, expires]).to_string();
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    let bytes = mac.chain_update(text).finalize().into_bytes();
    let sig: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("expires={expires}&sig={sig}")
}

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        let path = std::env::temp_dir().join(format!("outboxd-desk-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&path).unwrap();
        Folder(path)
    }

    fn users(&self) -> PathBuf {
        self.0.join("users")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
