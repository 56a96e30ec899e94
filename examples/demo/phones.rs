//! The simulated WeChat seen from outside: its ledger of messages, its people, and its switches.
//!
//! Everything goes through the control address it serves beside its WeChat addresses. The ledger is the
//! other half of the reconciliation: it knows what reached a phone, and nothing of outboxd.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
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
        self.post("switch", change)
            .await
            .context("turn a switch of the simulated WeChat")
    }

    /// From now on this person allows no messages.
    pub(crate) async fn refuse(&self, recipient: &str) -> Result<()> {
        self.post("grants", &json!({"recipient": recipient, "n": 0}))
            .await
            .context("take somebody's permissions")?;
        Ok(())
    }

    /// From now on this person allows every message. What waits goes by taps on "allow", one each: only of these does
    /// the cloud function's ledger know.
    pub(crate) async fn allow(&self, recipient: &str, waiting: i64) -> Result<()> {
        self.post("grants", &json!({"recipient": recipient, "n": null}))
            .await
            .context("give somebody permissions")?;
        for _ in 0..waiting {
            self.post("allow", &json!({"recipient": recipient}))
                .await
                .context("tap on allow")?;
        }
        Ok(())
    }

    /// Who allows no messages.
    pub(crate) async fn refusing(&self) -> Result<Vec<String>> {
        let url = format!("{}/sim/grants", self.base);
        let read = self
            .read(self.http.get(url))
            .await
            .context("read who allows messages")?;
        let left: BTreeMap<String, u32> = serde_json::from_value(read)?;
        Ok(left
            .into_iter()
            .filter_map(|(recipient, n)| (n == 0).then_some(recipient))
            .collect())
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let request = self
            .http
            .post(format!("{}/sim/{path}", self.base))
            .header("content-type", "application/json")
            .body(body.to_string());
        self.read(request).await
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
