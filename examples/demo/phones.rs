//! The simulated WeChat seen from outside: its ledger of messages, and its switches.
//!
//! Everything goes through the control address it serves beside its WeChat addresses. The ledger is the
//! other half of the reconciliation: it knows what reached a phone, and nothing of outboxd.

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

#[derive(Clone)]
pub(crate) struct Phones {
    base: String,
    http: reqwest::Client,
}

/// A subscribe message, as it lies on a phone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Message {
    pub(crate) seq: u64,
    pub(crate) at: DateTime<Utc>,
    pub(crate) key: Uuid,
    pub(crate) recipient: String,
    pub(crate) data: Value,
    pub(crate) aggregate_id: String,
}

#[derive(Deserialize)]
struct Messages {
    messages: Vec<Message>,
}

impl Phones {
    pub(crate) fn at(base: &str, http: reqwest::Client) -> Self {
        Phones {
            base: base.trim_end_matches('/').to_owned(),
            http,
        }
    }

    /// The messages that arrived after the one with this number, oldest first.
    pub(crate) async fn messages(&self, after: u64) -> Result<Vec<Message>> {
        let url = format!("{}/sim/messages?after={after}", self.base);
        let read = self
            .read(self.http.get(url))
            .await
            .context("read the phones' messages")?;
        Ok(serde_json::from_value::<Messages>(read)?.messages)
    }

    pub(crate) async fn switches(&self) -> Result<Value> {
        let url = format!("{}/sim/switches", self.base);
        self.read(self.http.get(url))
            .await
            .context("read the simulated WeChat's switches")
    }

    /// Breaks or mends something; answers how the switches stand now.
    pub(crate) async fn switch(&self, change: &Value) -> Result<Value> {
        let request = self
            .http
            .post(format!("{}/sim/switch", self.base))
            .header("content-type", "application/json")
            .body(change.to_string());
        self.read(request)
            .await
            .context("turn a switch of the simulated WeChat")
    }

    async fn read(&self, request: reqwest::RequestBuilder) -> Result<Value> {
        let response = request.send().await?;
        let status = response.status();
        let body = response.bytes().await?;
        ensure!(
            status.is_success(),
            "{status}: {}",
            String::from_utf8_lossy(&body)
        );
        Ok(serde_json::from_slice(&body)?)
    }
}
