//! What an app's notifications are sent to: the cloud function, the message itself, or a receiver of one's own.
//!
//! Chosen once, when the daemon starts. Relay and step know only the trait [`Target`]; what differs between the three
//! besides (a token's figures, a rehearsal's steps) is asked of this enum.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use chrono_tz::Tz;

use crate::catalogue::Entry;
use crate::config::{AppConfig, OpenidSource, TargetConfig};
use crate::delivery::{Attempted, Granted, OnUnknown, Pair, Sealed, Target};
use crate::hook::{HookSettings, HookTarget};
use crate::notification::Claim;
use crate::outbox::line::Database;
use crate::outbox::openid::OpenidQuery;
use crate::policy::AwaitGrant;
use crate::wechat::{
    DirectSettings, DirectTarget, Fleet, Openids, Rehearsal, TokenFigures, WechatSettings,
    WechatTarget,
};

#[derive(Debug)]
pub enum AppTarget {
    CloudFunction(WechatTarget),
    SubscribeSend(DirectTarget),
    Http(HookTarget),
}

impl AppTarget {
    /// Builds the app's target, so that what it cannot do without stops the start.
    pub fn new(
        app: &AppConfig,
        zone: Tz,
        database: &Database,
        fleet: Arc<dyn Fleet>,
    ) -> Result<AppTarget> {
        let (name, call_timeout) = (app.name.clone(), app.call_timeout);
        Ok(match &app.target {
            TargetConfig::CloudFunction(it) => {
                let settings = WechatSettings {
                    app: name,
                    appid: it.miniprogram.appid.clone(),
                    appsecret: it.miniprogram.appsecret.clone(),
                    cloud_env: it.cloud_env.clone(),
                    function: it.function.clone(),
                    base_url: it.miniprogram.base_url.clone(),
                    call_timeout,
                    signing_secret: it.signing_secret.clone(),
                };
                AppTarget::CloudFunction(WechatTarget::new(settings, fleet)?)
            }
            TargetConfig::SubscribeSend(it) => {
                let openids = match &it.openid {
                    OpenidSource::Event(path) => Openids::Event(path.clone()),
                    OpenidSource::Query(sql) => {
                        Openids::Asked(Arc::new(OpenidQuery::new(database.line(), sql)))
                    }
                };
                let settings = DirectSettings {
                    app: name,
                    appid: it.miniprogram.appid.clone(),
                    appsecret: it.miniprogram.appsecret.clone(),
                    base_url: it.miniprogram.base_url.clone(),
                    call_timeout,
                    templates: it.templates.clone(),
                    zone,
                    openids,
                    on_unknown: it.on_unknown,
                };
                AppTarget::SubscribeSend(DirectTarget::new(settings, fleet)?)
            }
            TargetConfig::Http(it) => AppTarget::Http(HookTarget::new(HookSettings {
                app: name,
                url: it.url.0.clone(),
                secret: it.secret.clone(),
                may_be_internal: it.may_be_internal,
                call_timeout,
                on_unknown: it.on_unknown,
            })?),
        })
    }

    /// One attempt with its steps, for `send-test`.
    pub async fn rehearse(&self, claim: &Claim) -> Rehearsal {
        match self {
            AppTarget::CloudFunction(target) => target.rehearse(claim).await,
            AppTarget::SubscribeSend(target) => target.rehearse(claim).await,
            AppTarget::Http(target) => target.rehearse(claim).await,
        }
    }

    /// What the target's ledger of grants has for these; none where there is no ledger.
    pub async fn grants(
        &self,
        pairs: &[Pair],
    ) -> Option<Result<Vec<Option<Granted>>, &'static Entry>> {
        match self {
            AppTarget::CloudFunction(target) => Some(target.grants(pairs).await),
            AppTarget::SubscribeSend(_) | AppTarget::Http(_) => None,
        }
    }

    /// None where there is no token.
    pub fn token_figures(&self) -> Option<TokenFigures> {
        match self {
            AppTarget::CloudFunction(target) => Some(target.token_figures()),
            AppTarget::SubscribeSend(target) => Some(target.token_figures()),
            AppTarget::Http(_) => None,
        }
    }
}

/// What the policy of the app's lane does about an unknown outcome.
pub fn on_unknown(app: &AppConfig) -> OnUnknown {
    match &app.target {
        // It keeps receipts.
        TargetConfig::CloudFunction(_) => OnUnknown::Ask,
        TargetConfig::SubscribeSend(it) => it.on_unknown,
        TargetConfig::Http(it) => it.on_unknown,
    }
}

/// Which of the app's notifications wait for the user's permission.
pub fn await_grant(app: &AppConfig) -> AwaitGrant {
    match &app.target {
        TargetConfig::CloudFunction(it) => it.await_grant.clone(),
        // Nobody keeps a ledger that could be asked when the wait is over.
        TargetConfig::SubscribeSend(_) | TargetConfig::Http(_) => AwaitGrant::Never,
    }
}

/// How often its ledger is asked, or looked whether anything waits.
pub fn ask_grants_every(app: &AppConfig) -> Duration {
    match &app.target {
        TargetConfig::CloudFunction(it) => it.ask_grants_every,
        TargetConfig::SubscribeSend(_) | TargetConfig::Http(_) => Duration::from_secs(60),
    }
}

impl Target for AppTarget {
    async fn deliver(&self, claim: &Claim) -> Attempted {
        match self {
            AppTarget::CloudFunction(target) => target.deliver(claim).await,
            AppTarget::SubscribeSend(target) => target.deliver(claim).await,
            AppTarget::Http(target) => target.deliver(claim).await,
        }
    }

    async fn seal(&self, claim: &Claim) -> Sealed {
        match self {
            AppTarget::CloudFunction(target) => target.seal(claim).await,
            AppTarget::SubscribeSend(target) => target.seal(claim).await,
            AppTarget::Http(target) => target.seal(claim).await,
        }
    }
}
