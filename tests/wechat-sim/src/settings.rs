//! What a simulator is started with and keeps for its life. What can change while it runs stands in
//! [`Switches`].

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::switches::Switches;

/// The app of a simulator that is told nothing else. Well-formed like a real one, and nobody's: whoever finds
/// it, or [`APPSECRET`], in a log or a dump has found a leak.
pub const APPID: &str = "wxfa15efa15efa15e0";
/// Its secret.
pub const APPSECRET: &str = "fa15e5ec2e7fa15e5ec2e7fa15e5ec2e";

/// The app, its secrets, and the sizes that tests shrink.
#[derive(Clone, Debug)]
pub struct Settings {
    /// A loopback address; port 0 takes a free one.
    pub listen: SocketAddr,
    pub appid: String,
    pub secret: String,
    /// The cloud environment's id.
    pub env: String,
    /// The cloud function's name.
    pub function: String,
    /// The command that runs the deployed function, such as `node tests/receiver/deployed.js`; without it the
    /// function is played by the simulator.
    pub deployed: Vec<String>,
    /// The receiver checks signatures when this is set.
    pub signing_secret: Option<String>,
    /// 7200 s at WeChat.
    pub token_lifetime: Duration,
    /// How long before its end normal mode hands out a new token, while both work. 300 s at WeChat;
    /// `None` keeps that proportion (a twenty-fourth) for a shorter life.
    pub token_overlap: Option<Duration>,
    /// Two forced refreshes must lie this far apart. 30 s at WeChat.
    pub forced_refresh_gap: Duration,
    /// The app's own message templates. The receiver sends the first.
    pub templates: Vec<Template>,
    /// The types of event for which the receiver has a template; `None` means all of them.
    pub event_types: Option<Vec<String>>,
    /// One JSON line per message, appended before the call is answered. A file that is there already is
    /// read at start, so that receipts outlive the process.
    pub ledger: Option<PathBuf>,
    /// The switches to start with.
    pub switches: Switches,
}

/// A subscribe-message template: its id and its keywords (type and index).
#[derive(Clone, Debug)]
pub struct Template {
    pub id: String,
    pub keywords: Vec<String>,
}

impl Settings {
    pub(crate) fn overlap(&self) -> Duration {
        self.token_overlap.unwrap_or(self.token_lifetime / 24)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            appid: APPID.to_owned(),
            secret: APPSECRET.to_owned(),
            env: "cloud1-demo".to_owned(),
            function: "quickstartFunctions".to_owned(),
            deployed: Vec::new(),
            signing_secret: None,
            token_lifetime: Duration::from_secs(7200),
            token_overlap: None,
            forced_refresh_gap: Duration::from_secs(30),
            templates: vec![Template {
                id: "TMPL_ASSIGNED".to_owned(),
                keywords: ["thing1", "thing2", "time3"].map(str::to_owned).into(),
            }],
            event_types: None,
            ledger: None,
            switches: Switches::default(),
        }
    }
}
