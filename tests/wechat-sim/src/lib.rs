//! A simulated WeChat, at the wire: token endpoints, `invokecloudfunction` with a receiver behind it,
//! and the direct subscribe-message API, for tests and the demo.
//!
//! It follows the documented behaviour of WeChat and shares no types with the product, so that client
//! and simulator cannot share a misunderstanding. Misbehaviour is scripted by the row itself, through its
//! recipient (see [`faults`]), or switched on for everybody (see [`Switches`]). Everything it received is
//! in the [`Ledger`].
//!
//! What it leaves out: TLS, the mini program itself, the message-push events, the quota tools.
//!
//! The path of a call: `server` accepts, `wire` reads a request and writes the (possibly broken) reply,
//! `route` below picks the endpoint, `invoke` plays the platform, `receiver` the cloud function, `send`
//! the subscribe-message API. With [`Settings::deployed`] the function is the real one: `function` runs it, and
//! `cloud` answers what its SDK asks.

mod cloud;
mod control;
pub mod deployment;
mod errors;
pub mod faults;
mod function;
mod grants;
mod invoke;
mod issuer;
mod keeper;
mod ledger;
mod receipts;
mod receiver;
mod send;
mod server;
mod settings;
mod shapes;
mod signature;
mod switches;
mod template;
mod token;
mod wire;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use ledger::{Call, Ledger, Message, TokenCall};
pub use receiver::{BAD_EVENT, BAD_SIGNATURE, NO_OPENID, NO_TEMPLATE, UNKNOWN_TYPE, WRONG_CALLER};
pub use settings::{APPID, APPSECRET, Settings, Template};
pub use switches::{ErrorForm, Switchboard, Switches, TokenAnswer, UndefinedForm};

use server::Gate;
use wire::{Exchange, Reply, Request};

/// How long [`WechatSim::wait_for`] waits before it gives up.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A running simulator. Dropping it closes its listeners.
pub struct WechatSim {
    world: Arc<World>,
    address: SocketAddr,
}

/// Everything the endpoints share. Each part has its own lock, and no function holds two of them.
struct World {
    settings: Settings,
    switches: Switchboard,
    tokens: Mutex<issuer::Tokens>,
    staff: Mutex<send::Staff>,
    receipts: Mutex<receipts::Receipts>,
    grants: Mutex<grants::Grants>,
    ledger: keeper::Keeper,
    function: function::Function,
    address: SocketAddr,
    gate: watch::Sender<Gate>,
    listening: watch::Sender<bool>,
    /// Where a scripted redirect leads: a listener of its own that must never be called.
    elsewhere: SocketAddr,
}

impl WechatSim {
    /// Starts listening; with the default settings on a random port of the loopback address.
    pub async fn start(settings: Settings) -> Result<Self> {
        ensure!(
            settings.listen.ip().is_loopback(),
            "the simulator listens on loopback addresses only"
        );
        let mut receipts = receipts::Receipts::default();
        let ledger = keeper::Keeper::open(settings.ledger.as_deref(), |message| {
            receipts.restore(&message.key, &message.msgid);
        })?;
        let listener = TcpListener::bind(settings.listen)
            .await
            .context("bind the simulator")?;
        let elsewhere = TcpListener::bind("127.0.0.1:0")
            .await
            .context("bind the redirect's host")?;
        let address = listener.local_addr()?;
        let world = Arc::new(World {
            switches: Switchboard::new(settings.switches.clone()),
            settings,
            tokens: Mutex::default(),
            staff: Mutex::default(),
            receipts: Mutex::new(receipts),
            grants: Mutex::default(),
            ledger,
            function: function::Function::default(),
            address,
            gate: watch::Sender::new(Gate::Open),
            listening: watch::Sender::new(true),
            elsewhere: elsewhere.local_addr()?,
        });
        tokio::spawn(server::run(Arc::clone(&world), listener));
        tokio::spawn(server::run_elsewhere(Arc::clone(&world), elsewhere));
        Ok(Self { world, address })
    }

    /// `http://127.0.0.1:PORT`, what stands in for `https://api.weixin.qq.com`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The settings it was started with.
    pub fn settings(&self) -> &Settings {
        &self.world.settings
    }

    /// A copy of everything received so far.
    pub fn ledger(&self) -> Ledger {
        self.world.ledger.look(Ledger::clone)
    }

    /// What can be changed while it runs.
    pub fn switches(&self) -> &Switchboard {
        &self.world.switches
    }

    /// Waits until the ledger satisfies `what`, for at most [`PATIENCE`].
    pub async fn wait_for(&self, what: impl Fn(&Ledger) -> bool) -> Result<()> {
        self.wait_for_within(PATIENCE, what).await
    }

    /// Waits until the ledger satisfies `what`; woken by every entry, never by a timer of its own.
    pub async fn wait_for_within(
        &self,
        patience: Duration,
        what: impl Fn(&Ledger) -> bool,
    ) -> Result<()> {
        if tokio::time::timeout(patience, self.world.ledger.until(what))
            .await
            .is_err()
        {
            let (calls, messages, tokens) = self
                .world
                .ledger
                .look(|l| (l.calls().len(), l.messages().len(), l.token_calls().len()));
            bail!(
                "not within {patience:?}; seen: {calls} calls, {messages} messages, {tokens} token calls"
            );
        }
        Ok(())
    }

    /// Closes the listener and every connection; a connect is refused until [`WechatSim::restart`].
    /// Tokens, receipts, grants and the ledger live on.
    pub async fn stop(&self) {
        self.world.gate.send_replace(Gate::Closed);
        self.until_listening(false).await;
    }

    /// Listens again on the same port.
    pub async fn restart(&self) {
        self.world.gate.send_replace(Gate::Open);
        self.until_listening(true).await;
    }

    /// Makes the current tokens invalid (40001), as a forced refresh by another server would.
    pub fn revoke_tokens(&self) {
        held(&self.world.tokens).revoke();
    }

    /// Lets the current tokens run out at once (42001).
    pub fn expire_tokens(&self) {
        held(&self.world.tokens).expire();
    }

    /// The API refuses the current token (40001), yet normal mode keeps handing out the same string:
    /// only a forced refresh helps.
    pub fn poison_token(&self) {
        held(&self.world.tokens).poison();
    }

    /// Gives `recipient` exactly `grants` one-time permissions; without it they are unlimited.
    pub fn set_grants(&self, recipient: &str, grants: u32) {
        self.world.set_grants(recipient, Some(grants));
    }

    /// A tap on "allow" in the mini program: one more permission at WeChat, which the mini program reports to the
    /// function.
    pub async fn allow(&self, recipient: &str) {
        self.world.allow(recipient).await;
    }

    /// Gives `recipient` another openid than `o-<recipient>`, or none at all.
    pub fn set_openid(&self, recipient: &str, openid: Option<&str>) {
        held(&self.world.staff).set_openid(recipient, openid);
    }

    /// Starts that many instances of a deployed function ahead of the calls that will need them, so that these
    /// meet no cold start.
    pub async fn warm_up(&self, instances: usize) {
        let mut starts = JoinSet::new();
        for _ in 0..instances {
            let event = serde_json::json!({"type": "ping"});
            let by = function::Caller::outboxd();
            starts.spawn(function::run(Arc::clone(&self.world), event, by, None));
        }
        starts.join_all().await;
    }

    async fn until_listening(&self, wanted: bool) {
        let mut listening = self.world.listening.subscribe();
        // The sender lives in the world we hold, so this cannot fail.
        let _ = listening.wait_for(|&now| now == wanted).await;
    }
}

impl World {
    /// How often this person may be messaged; `None` is without end. The played receiver hears of a number as the real
    /// one hears of taps in the mini program, and of permissions without end as little as that one.
    fn set_grants(&self, recipient: &str, grants: Option<u32>) {
        held(&self.staff).set_grants(recipient, grants);
        let openid = held(&self.staff).openid_of(recipient);
        if let (Some(openid), Some(template), Some(grants)) =
            (openid, self.settings.templates.first(), grants)
        {
            held(&self.grants).report(&openid, &template.id, grants);
        }
    }
}

impl World {
    async fn allow(self: &Arc<Self>, recipient: &str) {
        held(&self.staff).grant(recipient);
        let openid = held(&self.staff).openid_of(recipient);
        let (Some(openid), Some(template)) = (openid, self.settings.templates.first()) else {
            return;
        };
        if self.settings.deployed.is_empty() {
            let left = held(&self.grants).left(&openid, &template.id).unwrap_or(0);
            held(&self.grants).report(&openid, &template.id, left + 1);
            return;
        }
        let report = serde_json::json!({"type": "subscribed", "accepted": [template.id]});
        let by = function::Caller::mini_program(openid);
        let _ = function::run(Arc::clone(self), report, by, None).await;
    }
}

impl Drop for WechatSim {
    fn drop(&mut self) {
        self.world.gate.send_replace(Gate::Gone);
    }
}

/// Picks the endpoint. The switches that hit every WeChat path alike act here.
async fn route(world: &Arc<World>, request: &Request) -> Exchange {
    if request.path.starts_with("/sim/") {
        return control::answer(world, request).await.into();
    }
    if request.has_referer {
        world.ledger.write(Ledger::saw_referer);
    }
    if request.path.starts_with(cloud::PATH) {
        return cloud::answer(world, request).await.into();
    }
    let switches = world.switches.get();
    if switches.down {
        return Reply::Close.into();
    }
    if switches.latency_ms > 0 {
        tokio::time::sleep(Duration::from_millis(switches.latency_ms)).await;
    }
    if switches.http_500 {
        return Reply::status(500).into();
    }
    match request.path.as_str() {
        "/cgi-bin/stable_token" | "/cgi-bin/token" => token::answer(world, request).into(),
        "/tcb/invokecloudfunction" => invoke::answer(world, request).await,
        "/cgi-bin/message/subscribe/send" => send::answer(world, request).await.into(),
        _ => Reply::status(404).into(),
    }
}

/// A panic elsewhere must not hide what the ledger knows.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
